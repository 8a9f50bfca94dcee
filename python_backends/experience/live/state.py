"""What searches and the background thread share, and when there is something to do. Whoever touches it holds `lock`."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import SetupError
from pixelis.index_config import IndexConfig, Live
from python_backends.experience.indexes import FaissIndex, open_index
from python_backends.experience.live.recall import Recall, RecentQueries
from python_backends.experience.live.segments import Segments
from python_backends.experience.live.turn import FairLock

Ids = NDArray[np.int64]

RECENT = 64
RECALL_K = 10
ESTIMATE_EVERY = 1000
"""Searches after which recall is estimated again."""
SPARE = 0.125
"""Room that is left, as a share of what a base has learned from, when the next one is begun: it takes the tail
meanwhile. A third of `ROOM`, so that a base whose number stays is built again for its dead ones."""


class State:
    """The segments, and what is known of them.

    Args:
        config: of the base.
        width: D.
        threads: for batches, and for building.
        live: when to merge.
        tuned: whether a tuner may find something better than an exact index.

    Attributes:
        lock: taken for moments; a search waits for one of them at most, however often the background takes it.
        config: of the base that is wanted.
        segments: what is searched.
        queries: the last ones.
        searches: since recall was estimated.
        estimate_from: seconds of the monotonic clock before which it is not estimated again.
        learned_from: vectors that the base has learned from.
        tuned_at: vectors that there were when the configuration was chosen.
        forced: whether the base is to be built again without further reason.
        untuned: whether the tuner is to be asked first, then.
        merges: new bases so far.
        fault: why the last job failed, if it did.
        recall: as estimated last.
        closed: whether everything is to end.
    """

    def __init__(self, config: IndexConfig, width: int, threads: int, live: Live, tuned: bool = False) -> None:
        self.width, self.threads, self.live, self._tuned = width, threads, live, tuned
        self.lock = FairLock()
        self.segments = Segments(self.flat())
        self.queries = RecentQueries(RECENT, width)
        self.searches = self.learned_from = self.tuned_at = self.merges = 0
        self.forced = self.untuned = self.closed = False
        self.estimate_from = 0.0
        self.fault: str | None = None
        self.recall = Recall(1.0, RECALL_K, 0, "exact", 0)
        self._extend_at = self._rebuild_at = 0
        self.use(config)

    def use(self, config: IndexConfig) -> None:
        """Want another base.

        Raises:
            SetupError: it keeps codes only: similarities would be estimates, and nothing could be built again.
        """
        if not config.verbatim:
            raise SetupError(
                f"An index that changes must keep whole vectors, {config.label} keeps codes.",
                mend="Add `refine` with storage float32.",
            )
        self.config, self._needed = config, open_index(config, self.width).needed
        self._enough = max(self.live.flat_below, self._needed, self.live.tail - 1)

    def flat(self) -> FaissIndex:
        """An empty flat index."""
        return open_index(IndexConfig(), self.width, self.threads)

    @property
    def few(self) -> bool:
        """Whether so few are left that none is trained."""
        return len(self.segments) <= max(self._enough // 2, self._needed)

    def grown(self) -> bool:
        """Whether there is much more than when the configuration was chosen."""
        return len(self.segments) >= self.live.growth * max(self.tuned_at, 1)

    def to_extend(self) -> bool:
        """Whether the tail should go into the base, which has room for it."""
        base = self.segments.base
        return base is not None and self._waited() and base.room >= self.segments.waiting

    def to_rebuild(self) -> bool:
        """Whether the base should be built again, or for the first time."""
        base, count = self.segments.base, len(self.segments)
        if self.forced:
            return base is not None or count > self._enough
        if count < self._rebuild_at or (self.config.exact and not self._tuned):
            return False
        if base is None:
            return count > self._enough and (self.grown() or not self.config.exact)
        full = self._waited() and (not self.to_extend() or base.room < SPARE * self.learned_from)
        grown = self._tuned and self.grown() and count > self._enough
        return full or base.dead_share >= self.live.dead_share or grown

    def _waited(self) -> bool:
        return self.segments.waiting >= max(self.live.tail, self._extend_at)

    def to_tune(self) -> bool:
        """Whether the tuner is to be asked before the base is built again: not for a configuration that is new."""
        tried = self.tuned_at > 0 or self.config.exact
        return not self.few and (self.untuned or (tried and self.grown() and not self.forced))

    def to_estimate(self) -> bool:
        """Whether recall should be estimated again."""
        due = self.segments.base is not None and self.searches >= ESTIMATE_EVERY
        return due and time.monotonic() >= self.estimate_from

    def succeeded(self) -> None:
        """A new base is in place."""
        self.fault, self._extend_at, self._rebuild_at = None, 0, 0
        self.merges += 1

    def failed(self, fault: str) -> None:
        """A job failed: it is tried again when there is twice as much to do."""
        self.fault, self.forced, self.untuned, self.searches = fault, False, False, 0
        self._extend_at, self._rebuild_at = 2 * self.segments.waiting, 2 * len(self.segments)
