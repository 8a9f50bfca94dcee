"""The best of each library in turns, so that all of them see the same machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from perf.knn.sweep import Best, batched, shown, singly
from python_backends.experience.tuning import Split

QUERIES = 500


def duel(best: Mapping[str, Best], split: Split, rounds: int) -> list[dict[str, Any]]:
    """A row for each library: medians over the rounds, and the range of the rounds."""
    queries, names = split.queries[:QUERIES], list(best)
    single: dict[str, list[float]] = {name: [] for name in names}
    tail: dict[str, list[float]] = {name: [] for name in names}
    batch: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else names[::-1]:
            one = best[name]
            one.contender.set(one.setting)
            times = singly(one.contender, queries)
            single[name].append(float(np.median(times)) * 1e3)
            tail[name].append(float(np.percentile(times, 99)) * 1e3)
            batch[name].append(float(np.median(batched(one.contender, queries))) * 1e3)
    return [
        {
            "library": name,
            "index": best[name].plan.label,
            **shown(best[name].setting),
            "recall": best[name].row["recall"],
            "size_mib": best[name].row["size_mib"],
            "build_s": best[name].row["build_s"],
            **_spread("p50_ms", single[name]),
            **_spread("p99_ms", tail[name]),
            **_spread("batch32_ms", batch[name]),
        }
        for name in names
    ]


def _spread(name: str, values: list[float]) -> dict[str, Any]:
    return {
        name: round(float(np.median(values)), 4),
        f"{name}_rounds": [round(min(values), 4), round(max(values), 4)],
    }
