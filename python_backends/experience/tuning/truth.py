"""What a search should have found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest
from pixelis.index_config import IndexConfig
from python_backends.experience.indexes import FaissIndex, open_index
from python_backends.experience.live.recall import TIE

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]

SLICE = 512
BATCH = 64


@dataclass(frozen=True)
class Split:
    """Vectors to be found among, `[n, D]`, and queries that are none of them, `[q, D]`."""

    stored: Vectors
    queries: Vectors

    @classmethod
    def held_out(cls, vectors: Vectors, most: int, seed: int = 0) -> Split:
        """A tenth of `vectors`, `most` at most, as queries, and the others to be found among.

        Raises:
            InvalidRequest: there are fewer than 100 vectors.
        """
        if len(vectors) < 100:
            raise InvalidRequest(f"{len(vectors)} vectors are too few to hold some of them out.", mend="Collect 100.")
        chosen = np.zeros(len(vectors), np.bool_)
        chosen[np.random.default_rng(seed).choice(len(vectors), min(most, len(vectors) // 10), replace=False)] = True
        return cls(np.ascontiguousarray(vectors[~chosen]), np.ascontiguousarray(vectors[chosen]))

    @property
    def width(self) -> int:
        """D."""
        return int(self.stored.shape[1])


class Truth:
    """The k nearest of every query, by comparing with every vector.

    Args:
        split: stored vectors are known by their positions.
        k: how many.
        threads: for the exact search.
    """

    def __init__(self, split: Split, k: int, threads: int = 1) -> None:
        self._split, self.k = split, k
        exact = fill(open_index(IndexConfig(), split.width, threads), split.stored)
        parts = [exact.search(split.queries[i : i + BATCH], k) for i in range(0, len(split.queries), BATCH)]
        self.scores, self.ids = (np.concatenate(found) for found in zip(*parts, strict=True))

    def recalls(self, found: Ids) -> NDArray[np.float64]:
        """`[q]` share of the k nearest in `found` `[q, k]`; as good as the k-th nearest counts as found.

        Similarities are computed anew from the vectors, so that an index which estimates them is judged alike.
        """
        stored, queries = self._split.stored, self._split.queries
        reach = self.scores[:, -1] - TIE
        shares = np.empty(len(found))
        for row, (ids, query) in enumerate(zip(found, queries, strict=True)):
            real = np.unique(ids[ids >= 0])
            shares[row] = (stored[real] @ query >= reach[row]).sum() / self.k
        return np.minimum(shares, 1.0)


def fill(index: FaissIndex, vectors: Vectors, between: Callable[[], None] = lambda: None) -> FaissIndex:
    """`index` with `vectors` under their positions, trained on them where it has to be; `between` runs now and then."""
    if not index.trained:
        index.train(vectors)
    for start in range(0, len(vectors), SLICE):
        part = vectors[start : start + SLICE]
        index.add(np.arange(start, start + len(part), dtype=np.int64), part)
        between()
    return index
