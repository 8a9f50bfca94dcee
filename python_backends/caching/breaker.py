"""Leaves alone for a while what has failed several times in a row."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """A circuit breaker. For any number of threads.

    Closed, every call may go. After `failures` in a row it opens: no call goes for `rest_s`. Then one call may try; if
    that fails too, the next rest is twice as long, up to `longest_s`; any success closes it.

    Args:
        failures: in a row.
        rest_s: the first rest.
        longest_s: the longest.
        clock: monotonic seconds.
    """

    def __init__(
        self, failures: int, rest_s: float, longest_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._first, self._longest, self._clock = failures, rest_s, longest_s, clock
        self._lock = threading.Lock()
        self._failed, self._rest, self._until, self._trying = 0, rest_s, 0.0, False

    @property
    def open(self) -> bool:
        """Whether calls are kept back, but for a try now and then."""
        return self._failed >= self._most

    def may(self) -> bool:
        """Whether a call may go now; of an open one, a single try at a time."""
        if self._failed < self._most:
            return True
        with self._lock:
            now = self._clock()
            if now < self._until:
                return False
            self._until, self._trying = now + self._rest, True
            return True

    def well(self) -> None:
        """A call succeeded."""
        if self._failed:
            with self._lock:
                self._failed, self._rest, self._trying = 0, self._first, False

    def failed(self) -> None:
        """A call failed. Those that were under way when it opened make no rest longer; only a try does."""
        with self._lock:
            self._failed += 1
            if self._trying:
                self._rest, self._trying = min(2 * self._rest, self._longest), False
            elif self._failed != self._most:
                return
            self._until = self._clock() + self._rest
