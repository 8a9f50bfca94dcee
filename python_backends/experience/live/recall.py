"""How much of what it should find a live index finds, estimated on queries that were really asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
TIE = 1e-5
"""Similarities that differ by less are equal: two kinds of arithmetic round differently."""


@dataclass(frozen=True)
class Recall:
    """An estimate.

    Attributes:
        value: 0..1, the share of the k nearest that was found, over all queries.
        k: how many were asked for.
        queries: how many queries it rests on; 0 = none is needed, every vector is compared.
        source: `asked`, queries of the last searches; `stored`, stored vectors (without themselves) where there were
            none; `exact`, nothing was estimated.
        count: vectors in the index at the time.
    """

    value: float
    k: int
    queries: int
    source: str
    count: int


class RecentQueries:
    """The last queries, in a ring.

    Args:
        most: how many are kept.
        width: D.
    """

    def __init__(self, most: int, width: int) -> None:
        self._ring = np.zeros((most, width), np.float32)
        self._seen = 0

    def note(self, queries: Vectors) -> None:
        """Keep the last of `[n, D]`."""
        most = len(self._ring)
        last = queries[-most:]
        self._ring[(self._seen + np.arange(len(last))) % most] = last
        self._seen += len(last)

    def all(self) -> Vectors:
        """`[n, D]`, a copy, in no order."""
        return self._ring[: min(self._seen, len(self._ring))].copy()


def hits(scores: Vectors, truth: Vectors) -> float:
    """Mean share of the true k nearest that was found, by similarity, so that equals count as equal.

    Args:
        scores: `[n, k]` exact similarities of what was found, -inf where nothing was.
        truth: `[n, k]` of the k nearest, best first, -inf where there are fewer.
    """
    there = np.isfinite(truth)
    worst = np.where(there, truth, np.inf).min(axis=1, keepdims=True)
    found = np.minimum((scores >= worst - TIE).sum(axis=1), there.sum(axis=1))
    asked = there.sum()
    return float(found.sum() / asked) if asked else 1.0
