"""usearch (github.com/unum-cloud/usearch)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from perf.knn.contenders.contender import Ids, Plan, Setting, Vectors

LIBRARY = "usearch"


class Usearch:
    """An index of inner products, its vectors kept as `dtype`."""

    def __init__(self, vectors: Vectors, threads: int, m: int, ef_construction: int, dtype: str) -> None:
        from usearch.index import Index

        self._index: Any = Index(
            ndim=vectors.shape[1], metric="ip", dtype=dtype, connectivity=m, expansion_add=ef_construction
        )
        self._index.add(np.arange(len(vectors)), vectors, threads=threads)

    def set(self, setting: Setting) -> None:
        """See `Contender.set`."""
        self._index.expansion_search = setting["ef_search"]

    def search(self, queries: Vectors, k: int) -> Ids:
        """See `Contender.search`."""
        found = self._index.search(queries[0] if len(queries) == 1 else queries, k, threads=1)
        ids = np.asarray(found.keys, np.int64).reshape(len(queries), -1)
        return ids if ids.shape[1] == k else np.pad(ids, ((0, 0), (0, k - ids.shape[1])), constant_values=-1)

    def size_bytes(self) -> int:
        """See `Contender.size_bytes`."""
        return int(self._index.serialized_length)


def usearch_plans(
    ms: Sequence[int], efs: Sequence[int], dtypes: Sequence[str], ef_construction: int = 200
) -> Iterator[Plan]:
    """One for each `m` and dtype."""
    for m in ms:
        for dtype in dtypes:

            def build(vectors: Vectors, threads: int, m: int = m, dtype: str = dtype) -> Usearch:
                return Usearch(vectors, threads, m, ef_construction, dtype)

            yield Plan(LIBRARY, f"usearch M{m} {dtype}", f"usearch {dtype}", build, [[{"ef_search": ef} for ef in efs]])
