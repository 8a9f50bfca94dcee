"""How often a caller may ask: a token bucket each."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from clients.gateway.allowance import Left
from pixelis.errors import RateLimited

REMEMBERED = 100_000
"""Callers; who has not asked for longest is forgotten first, which gives a full bucket back."""
BURST_S = 10.0
"""A bucket holds what its rate brings in this time, and never less than one."""


class Rates:
    """The buckets of all callers.

    Args:
        clock: seconds, rising.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, per_minute: float | None, count: int = 1) -> None:
        """Count `count` requests of `caller`, whose limit is `per_minute` (none = no limit).

        Raises:
            RateLimited: it has had them; nothing is counted.
        """
        if per_minute is None:
            return
        rate, now = per_minute / 60, self._clock()
        left, full = self._level(caller, rate, now)
        self._buckets[caller] = (left, now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        # More than a bucket holds is taken from a full one, or it could never be asked at all.
        if left < min(count, full):
            wait = math.ceil((min(count, full) - left) / rate)
            raise RateLimited(f"More than {per_minute:g} requests a minute.", mend=f"Try again in {wait} s.")
        self._buckets[caller] = (left - count, now)

    def left(self, caller: str, per_minute: float | None) -> Left | None:
        """What `caller` may ask at once; none without a limit."""
        if per_minute is None:
            return None
        rate = per_minute / 60
        left, full = self._level(caller, rate, self._clock())
        return Left(per_minute, max(0, math.floor(left)), math.ceil((full - left) / rate))

    def _level(self, caller: str, rate: float, now: float) -> tuple[float, float]:
        """How much is in a bucket, and how much goes in."""
        full = max(1.0, rate * BURST_S)
        left, seen = self._buckets.get(caller, (full, now))
        return min(full, left + (now - seen) * rate), full
