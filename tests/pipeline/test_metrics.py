"""Metrics: one message to Triton at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from python_backends.metrics import Metrics


class Families:
    """Like Triton's metric objects, which must not be used by two threads at once; says whether they were."""

    COUNTER, GAUGE, HISTOGRAM = range(3)
    made: list[str]
    overlaps: int

    def __init__(self) -> None:
        self.made, self.overlaps, self._busy = [], 0, threading.Lock()

    def __call__(self, name: str, description: str, kind: int) -> Families:
        self.made.append(name)
        return self

    def Metric(self, labels: dict[str, str], buckets: list[float] | None = None) -> Families:
        return self

    def increment(self, value: float) -> None:
        if not self._busy.acquire(blocking=False):
            self.overlaps += 1
            return
        time.sleep(0.001)  # the interpreter lock is free while the message travels
        self._busy.release()

    observe = set = increment


def test_threads_take_turns() -> None:
    families = Families()
    metrics = Metrics(families, "agent", "1")

    def report(i: int) -> None:
        metrics.observe("pixelis_stage_seconds", 0.1)
        metrics.count("pixelis_request_errors_total", code=str(i % 3))
        metrics.gauge("pixelis_experiences", i)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(report, range(40)))
    assert families.overlaps == 0
    assert sorted(families.made) == ["pixelis_experiences", "pixelis_request_errors_total", "pixelis_stage_seconds"]
