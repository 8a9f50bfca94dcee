"""What a tier counts."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from typing import Any

NAMES = ("hits", "misses", "errors", "evictions", "expiries", "refused")
BOUNDS = (2e-6, 5e-6, 1e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 1e-1)
"""Seconds of a look-up."""


class TierCounts:
    """Counters since the start; for any number of threads.

    `refused` counts values that were not taken in because others are asked for more often, or that are too large.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    def add(self, name: str, amount: int = 1) -> None:
        """Count."""
        if amount:
            with self._lock:
                self._counts[name] += amount

    def looked(self, hits: int, misses: int, seconds: float) -> None:
        """One look-up, of one or several names, that took `seconds`."""
        with self._lock:
            self._counts["hits"] += hits
            self._counts["misses"] += misses
            self._buckets[bisect_left(BOUNDS, seconds)] += 1
            self._seconds += seconds

    def snapshot(self) -> dict[str, Any]:
        """The counters; `lookups`, their `seconds`, and how many took at most each of `BOUNDS`, then all."""
        with self._lock:
            counts = {name: self._counts[name] for name in NAMES}
            below, total = [], 0
            for count in self._buckets:
                total += count
                below.append(total)
            return {**counts, "lookups": total, "seconds": self._seconds, "buckets": below}
