"""The graph index."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from pixelis.index_config import Hnsw, Storage
from python_backends.experience.indexes import codes
from python_backends.experience.indexes.faiss_index import FaissIndex


class HnswIndex(FaissIndex):
    """FAISS `IndexHNSWFlat` or `IndexHNSWSQ`. FAISS cannot take a vector out of the graph: it stays as a way, dead."""

    @property
    def _hnsw(self) -> Hnsw:
        assert isinstance(self._config.index, Hnsw)
        return self._config.index

    def _empty(self, width: int) -> Any:
        chosen, metric = self._hnsw, faiss.METRIC_INNER_PRODUCT
        if chosen.storage is Storage.FLOAT32:
            made = faiss.IndexHNSWFlat(width, chosen.m, metric)
        else:
            made = faiss.IndexHNSWSQ(width, codes.quantizer(chosen.storage), chosen.m, metric)
        made.hnsw.efConstruction = chosen.ef_construction
        return made

    def _needed(self) -> int:
        return 1 if self._hnsw.storage is Storage.INT8 else 0

    def _own(self, selector: Any, candidates: int) -> Any:
        ef = max(self._hnsw.ef_search, candidates)  # FAISS stops at `efSearch` even where more are asked for
        return faiss.SearchParametersHNSW(efSearch=ef, **({"sel": selector} if selector is not None else {}))

    def _whole(self, own: Any) -> Any:
        return faiss.downcast_index(own.storage)

    def _scanned(
        self, source: Any, own: bool, queries: NDArray[np.float32], k: int, selector: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return super()._scanned(faiss.downcast_index(source.storage) if own else source, False, queries, k, selector)
