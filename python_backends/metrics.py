"""Metrics of the served models, `pixelis_...` with base units in the name."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any


class Metrics:
    """Custom metrics of one model, beside Triton's own. Families are made when they are first used.

    Every call is a message to Triton, so they are made per execution and not per token. Calls from several threads
    take turns: Triton's metric objects keep the message under way in themselves and let go of the interpreter lock
    while it travels, so a second call would free shared memory that the server still reads (2.51 dies of it).

    Args:
        families: `MetricFamily` of `triton_python_backend_utils`.
        model: the model's name, a label of every metric.
        version: the version served, another one.
    """

    SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 100.0)
    SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)

    def __init__(self, families: Any, model: str, version: str) -> None:
        self._make = families
        self._lock = threading.Lock()
        self._labels = {"model": model, "version": version}
        self._families: dict[str, Any] = {}
        self._metrics: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter."""
        with self._lock:
            self._metric(name, self._make.COUNTER, None, labels).increment(amount)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._metric(name, self._make.GAUGE, None, labels).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put a value into a histogram; buckets by the unit that the name ends with."""
        buckets = self.SECONDS if name.endswith("_seconds") else self.SIZES
        with self._lock:
            self._metric(name, self._make.HISTOGRAM, buckets, labels).observe(value)

    def _metric(self, name: str, kind: Any, buckets: Sequence[float] | None, labels: dict[str, str]) -> Any:
        key = (name, tuple(sorted(labels.items())))
        if key not in self._metrics:
            if name not in self._families:
                self._families[name] = self._make(name=name, description=_words(name), kind=kind)
            extra = {} if buckets is None else {"buckets": list(buckets)}
            self._metrics[key] = self._families[name].Metric(labels={**self._labels, **labels}, **extra)
        return self._metrics[key]


def _words(name: str) -> str:
    return name.removeprefix("pixelis_").replace("_", " ")
