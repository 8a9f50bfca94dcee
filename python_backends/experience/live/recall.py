"""How much of what it should find a live index finds, estimated on queries that were really asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from python_backends.experience.live.state import State

Vectors = NDArray[np.float32]
TIE = 1e-5
"""Similarities that differ by less are equal: two kinds of arithmetic round differently."""
PAUSE_S = 0.0002
"""Between two times that the background holds the lock: Python's locks are not fair, those who wait need a moment."""
SHARE = 0.05
"""Of the time, at most, in which recall is estimated, however much is asked."""


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

    @property
    def most(self) -> int:
        """How many are kept."""
        return len(self._ring)

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


def estimate(state: State, k: int) -> Recall:
    """Measure recall@k on the last queries, or on stored vectors where none was asked; kept in `state.recall`.

    The exact side is found beside searches and removals, by the thread that alone adds to the base; the lock is held
    for one query at a time.
    """
    begun = time.monotonic()
    with state.lock:
        base, count, queries = state.segments.base, len(state.segments), state.queries.all()
        state.searches = 0
    if base is None or not len(base):
        state.recall = Recall(1.0, k, 0, "exact", count)
        return state.recall
    source, own = "asked", 0
    if not len(queries):
        most = state.queries.most
        source, own, (_, queries) = "stored", 1, next(base.slices(most, most))  # it finds itself: no achievement
    truth = base.exact(queries, 2 * k + own)
    found, best = [], []
    for i in range(len(queries)):
        asked = queries[i : i + 1]
        with state.lock:
            if state.segments.base is not base:
                break
            found.append(state.segments.search(asked, k + own)[0][0, own:])
            near = state.segments.exact_besides((truth[0][i : i + 1], truth[1][i : i + 1]), asked, k + own)
            best.append(near[0][0, own:])
        time.sleep(PAUSE_S)
    if found:
        state.recall = Recall(hits(np.stack(found), np.stack(best)), k, len(found), source, count)
    state.estimate_from = time.monotonic() + (time.monotonic() - begun) / SHARE
    return state.recall
