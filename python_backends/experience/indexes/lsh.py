"""Signs of random projections. Kept so that it can be compared with the others."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from pixelis.index_config import Lsh
from python_backends.experience.indexes.faiss_index import FaissIndex


class LshIndex(FaissIndex):
    """FAISS `IndexLSH`: every code is compared, by Hamming distance.

    Without `refine` a score is an estimate: of h differing bits out of b, the angle is `pi h / b` in expectation
    (Charikar 2002), and stored vectors are taken to have length 1.
    """

    movable = True

    @property
    def _lsh(self) -> Lsh:
        assert isinstance(self._config.index, Lsh)
        return self._config.index

    def _empty(self, width: int) -> Any:
        made = faiss.IndexLSH(width, self._lsh.bits, True, False)
        made.metric_type = faiss.METRIC_INNER_PRODUCT  # `IndexRefine` asks for one metric; LSH itself reads it nowhere
        made.train(np.zeros((1, width), np.float32))  # draws the rotation, from a fixed seed
        return made

    def _scores(self, scores: NDArray[np.float32], queries: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._config.refine is not None:
            return scores
        lengths = np.linalg.norm(queries, axis=1, keepdims=True)
        made: NDArray[np.float32] = (np.cos(np.pi * scores / self._lsh.bits) * lengths).astype(np.float32)
        return made
