"""What is asked for, and how often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from python_backends.caching.entry import hash_of
from python_backends.caching.key import Key
from python_backends.caching.reuse import ReuseDistance

FOLLOWED = 1024
TOP = 20


class Usage:
    """Askings of one thing, since the start. For any number of threads.

    The names asked for most are found by the stream summary of Metwally et al., "Efficient Computation of Frequent and
    Top-k Elements in Data Streams" (2005): a name's count is too high by `over` at most, and never too low.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._clock, self._since = threading.Lock(), clock, clock()
        self._counts: dict[str, list[int]] = {}
        self._reuse = ReuseDistance()
        self.asked = self.hits = self.computed = self.shared = 0

    def saw(self, keys: Sequence[Key], hits: int) -> None:
        """These were asked for, and so many were found in a tier."""
        with self._lock:
            self.asked += len(keys)
            self.hits += hits
            for key in keys:
                self._reuse.asked(hash_of(key.digest))
                self._count(key.name)

    def made(self, computed: int, shared: int) -> None:
        """Of those not found, so many were computed, and so many came from others that computed them meanwhile."""
        with self._lock:
            self.computed += computed
            self.shared += shared

    def snapshot(self) -> dict[str, Any]:
        """Askings, their frequency, what became of them, the names asked for most, and reuse distances."""
        with self._lock:
            seconds = self._clock() - self._since
            ranked = sorted(self._counts.items(), key=lambda item: -item[1][0])[:TOP]
            return {
                "asked": self.asked,
                "hits": self.hits,
                "computed": self.computed,
                "shared": self.shared,
                "hit_rate": round(self.hits / self.asked, 4) if self.asked else None,
                "asked_per_second": round(self.asked / seconds, 3) if seconds > 0 else None,
                "top": [{"key": name, "asked": count, "over": over} for name, (count, over) in ranked],
                "reuse_distance": self._reuse.histogram(),
            }

    def _count(self, name: str) -> None:
        known = self._counts.get(name)
        if known is not None:
            known[0] += 1
        elif len(self._counts) < FOLLOWED:
            self._counts[name] = [1, 0]
        else:
            self._prune()
            self._counts[name] = [self._floor + 1, self._floor]

    _floor = 0

    def _prune(self) -> None:
        """Make room by the half that is asked for least: one at a time would cost a search each time."""
        ranked = sorted(self._counts.items(), key=lambda item: -item[1][0])
        self._floor = ranked[FOLLOWED // 2][1][0]
        self._counts = dict(ranked[: FOLLOWED // 2])
