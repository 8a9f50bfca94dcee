"""One setting, measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.index_config import IndexConfig
from python_backends.experience.indexes import FaissIndex
from python_backends.experience.tuning.truth import Truth

Vectors = NDArray[np.float32]

SURE = 1.645
"""Standard errors below the mean that 95 % of means are above."""
WARM = 10
TIMED = 200
"""Queries that are timed, one at a time."""


@dataclass(frozen=True)
class Trial:
    """What a setting finds and costs, one thread, one query at a time.

    Attributes:
        config: the setting.
        recall: mean share of the k nearest that it finds.
        recall_low: what the recall is above with 95 % certainty, as far as chance in the queries goes.
        p50_ms: median latency of a query.
        p99_ms: 99th percentile of it.
        size_bytes: of the index, original vectors included where it keeps them.
        build_s: time to train and fill it.
    """

    config: IndexConfig
    recall: float
    recall_low: float
    p50_ms: float
    p99_ms: float
    size_bytes: int
    build_s: float

    def row(self) -> dict[str, Any]:
        """As a row of a measurement."""
        return {
            "label": self.config.label,
            **{f"search_{name}": value for name, value in self.config.searching().items()},
            "recall": round(self.recall, 4),
            "recall_low": round(self.recall_low, 4),
            "p50_ms": round(self.p50_ms, 4),
            "p99_ms": round(self.p99_ms, 4),
            "size_mib": round(self.size_bytes / 2**20, 2),
            "build_s": round(self.build_s, 2),
            "config": self.config.model_dump(mode="json", exclude_none=True),
        }


def attempt(index: FaissIndex, queries: Vectors, truth: Truth, size_bytes: int, build_s: float) -> Trial:
    """Measure the setting that `index` is adjusted to: recall on all queries, time on the first of them."""
    shares = truth.recalls(index.search(queries, truth.k)[1])
    times = latencies(index, queries[: TIMED + WARM], truth.k)
    return Trial(
        config=index.config,
        recall=float(shares.mean()),
        recall_low=low(shares),
        p50_ms=float(np.median(times)) * 1e3,
        p99_ms=float(np.percentile(times, 99)) * 1e3,
        size_bytes=size_bytes,
        build_s=build_s,
    )


def latencies(index: FaissIndex, queries: Vectors, k: int) -> NDArray[np.float64]:
    """Seconds of each query alone, the first ones not counted."""
    times = np.empty(len(queries))
    for i in range(len(queries)):
        query = queries[i : i + 1]
        start = time.perf_counter()
        index.search(query, k)
        times[i] = time.perf_counter() - start
    return times[min(WARM, len(times) // 2) :]


def low(shares: NDArray[np.float64]) -> float:
    """Lower bound of a mean: `mean - 1.645 s / sqrt(n)`."""
    if len(shares) < 2:
        return 0.0
    return max(float(shares.mean() - SURE * shares.std(ddof=1) / np.sqrt(len(shares))), 0.0)
