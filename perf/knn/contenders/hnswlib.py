"""hnswlib (github.com/nmslib/hnswlib), the authors' own HNSW."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from perf.knn.contenders.contender import Ids, Plan, Setting, Vectors

LIBRARY = "hnswlib"


class Hnswlib:
    """An index of inner products."""

    def __init__(self, vectors: Vectors, threads: int, m: int, ef_construction: int) -> None:
        import hnswlib

        self._index: Any = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self._index.init_index(max_elements=len(vectors), M=m, ef_construction=ef_construction)
        self._index.add_items(vectors, np.arange(len(vectors)), num_threads=threads)
        self._index.set_num_threads(1)
        self._ef = 10

    def set(self, setting: Setting) -> None:
        """See `Contender.set`."""
        self._ef = setting["ef_search"]

    def search(self, queries: Vectors, k: int) -> Ids:
        """See `Contender.search`."""
        self._index.set_ef(max(self._ef, k))
        labels = self._index.knn_query(queries, k=k, num_threads=1)[0]
        return np.asarray(labels, np.int64)

    def size_bytes(self) -> int:
        """See `Contender.size_bytes`."""
        return int(self._index.index_file_size())


def hnswlib_plans(ms: Sequence[int], efs: Sequence[int], ef_construction: int = 200) -> Iterator[Plan]:
    """One for each `m`."""
    for m in ms:

        def build(vectors: Vectors, threads: int, m: int = m) -> Hnswlib:
            return Hnswlib(vectors, threads, m, ef_construction)

        yield Plan(LIBRARY, f"hnswlib M{m}", LIBRARY, build, [[{"ef_search": ef} for ef in efs]])
