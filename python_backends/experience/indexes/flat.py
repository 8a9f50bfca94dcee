"""The exact index."""

from __future__ import annotations

from typing import Any

import faiss

from python_backends.experience.indexes.faiss_index import FaissIndex


class FlatIndex(FaissIndex):
    """FAISS `IndexFlatIP`: recall 1, cost linear in the number of vectors.

    Behind a transform it scans shorter vectors, and is exact no more.
    """

    movable = True

    def _empty(self, width: int) -> Any:
        return faiss.IndexFlatIP(width)
