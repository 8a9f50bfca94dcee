"""A process that works a share of the time and is stopped for the rest of it."""

from __future__ import annotations

import os
import signal
import time

PERIOD_S = 0.2


class Duty:
    """Stops a child of this process and lets it go on, in turns.

    What it wants of memory and caches makes the slowest of our searches slower, however low its priority: so it wants
    it more rarely.

    Args:
        pid: of a child that was not waited for yet.
        share: of the time, 0 < share <= 1, that it works.
    """

    def __init__(self, pid: int, share: float) -> None:
        self._pid, self._share, self._stopped = pid, share, False
        self._until = time.monotonic() + share * PERIOD_S

    def left_s(self) -> float:
        """Seconds until the next turn."""
        return max(self._until - time.monotonic(), 0.0)

    def turn(self) -> None:
        """Stop it or let it go on, where it is time to."""
        if self._share >= 1 or self.left_s():
            return
        self._stopped = not self._stopped
        os.kill(self._pid, signal.SIGSTOP if self._stopped else signal.SIGCONT)
        self._until = time.monotonic() + PERIOD_S * (1 - self._share if self._stopped else self._share)
