"""Inverted lists of product-quantised vectors."""

from __future__ import annotations

from typing import Any

import faiss

from pixelis.errors import InvalidRequest
from pixelis.index_config import IvfPq
from python_backends.experience.indexes.faiss_index import FaissIndex


class IvfPqIndex(FaissIndex):
    """FAISS `IndexIVFPQ`, or `IndexIVFPQFastScan` whose lookup tables stay in SIMD registers."""

    @property
    def _ivf(self) -> IvfPq:
        assert isinstance(self._config.index, IvfPq)
        return self._config.index

    def _empty(self, width: int) -> Any:
        chosen, metric = self._ivf, faiss.METRIC_INNER_PRODUCT
        if width % chosen.subquantizers:
            raise InvalidRequest(
                f"{chosen.subquantizers} subquantizers do not divide a width of {width}.",
                mend="Take a divisor, or a transform to a width that they divide.",
            )
        build = faiss.IndexIVFPQFastScan if chosen.fast_scan else faiss.IndexIVFPQ
        made = build(faiss.IndexFlatIP(width), width, chosen.lists, chosen.subquantizers, chosen.bits, metric)
        made.by_residual = True
        made.cp.min_points_per_centroid = made.pq.cp.min_points_per_centroid = 1
        return made

    def _needed(self) -> int:
        return max(self._ivf.lists, 1 << self._ivf.bits)

    def _own(self, selector: Any, candidates: int) -> Any:
        return faiss.SearchParametersIVF(nprobe=self._ivf.probes, **({"sel": selector} if selector is not None else {}))
