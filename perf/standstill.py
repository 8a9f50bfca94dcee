"""A load generator that waits for threads which have ended.

perf_analyzer 2.50 with `--request-count` sometimes does: its workers have sent all requests and are gone, nothing is in
flight, and its main thread sleeps in `InferenceProfiler::Measure` for ever.
"""

from __future__ import annotations

import time

import psutil

AFTER_S = 15.0
BUSY = 0.05
"""Share of a core that a process takes at least while it still does something."""


class Standstill:
    """Watches a process.

    Args:
        pid: of the process.
        after_s: how long it may have a single thread, and that one asleep.
    """

    def __init__(self, pid: int, after_s: float = AFTER_S) -> None:
        self._after_s = after_s
        try:
            self._process: psutil.Process | None = psutil.Process(pid)
        except psutil.NoSuchProcess:
            self._process = None
        self._since, self._cpu_s = time.monotonic(), 0.0

    def over(self) -> bool:
        """Whether there is nothing to wait for any more."""
        now = time.monotonic()
        try:
            if self._process is None:
                return False
            threads, used = self._process.num_threads(), sum(self._process.cpu_times()[:2])
        except psutil.Error:
            return False  # it has ended: whoever waits for it hears of it
        if threads > 1 or used - self._cpu_s > BUSY * (now - self._since) + 0.1:
            self._since, self._cpu_s = now, used
        return now - self._since > self._after_s
