"""Inverted lists of whole vectors."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from pixelis.index_config import IvfFlat
from python_backends.experience.indexes.faiss_index import FaissIndex


class IvfFlatIndex(FaissIndex):
    """FAISS `IndexIVFFlat` around spherical k-means centres."""

    @property
    def _ivf(self) -> IvfFlat:
        assert isinstance(self._config.index, IvfFlat)
        return self._config.index

    def _empty(self, width: int) -> Any:
        made = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, self._ivf.lists, faiss.METRIC_INNER_PRODUCT)
        made.cp.min_points_per_centroid = 1  # FAISS would print a warning; `train` has its own minimum
        if self._config.verbatim and self._config.refine is None:
            made.set_direct_map_type(faiss.DirectMap.Array)  # to read vectors by row
        return made

    def _needed(self) -> int:
        return self._ivf.lists

    def _own(self, selector: Any, candidates: int) -> Any:
        return faiss.SearchParametersIVF(nprobe=self._ivf.probes, **({"sel": selector} if selector is not None else {}))

    def _scanned(
        self, source: Any, own: bool, queries: NDArray[np.float32], k: int, selector: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if not own:
            return super()._scanned(source, own, queries, k, selector)
        chosen = {"sel": selector} if selector is not None else {}
        found: tuple[NDArray[np.float32], NDArray[np.int64]] = source.search(
            queries, k, params=faiss.SearchParametersIVF(nprobe=self._ivf.lists, **chosen)
        )
        return found
