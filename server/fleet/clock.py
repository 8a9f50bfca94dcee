"""Notices that the time of day was set back."""

from __future__ import annotations

import time

LEAST_S = 10.0
"""What is less is made up for by waiting."""


class Clock:
    """The time of day beside the monotonic clock."""

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()

    def set_back(self) -> float:
        """By how many seconds, since it was asked last; 0 where by less than ten."""
        before, self._ahead = self._ahead, time.time() - time.monotonic()
        back = before - self._ahead
        return back if back >= LEAST_S else 0.0
