"""The best of each library in turns, so that all of them see the same machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log
from typing import Any

import numpy as np

from perf.knn.contenders.contender import Setting
from perf.knn.sweep import Best, batched, shown, singly
from python_backends.experience.tuning import Split

QUERIES = 500
FEW, SLOW_MS = 100, 5.0
"""So many queries are enough for an index that takes so long for each."""


def duel(best: Mapping[str, Best], split: Split, rounds: int, target: float) -> list[dict[str, Any]]:
    """A row for each library: medians over the rounds, and the range of the rounds.

    `equal_ms` and `equal_batch32_ms` are what it takes at exactly `target`, where the next quicker setting of the same
    index finds less than that: between the two, the logarithm of the time goes straight.
    """
    times: dict[tuple[str, int], list[dict[str, float]]] = {}
    for number in range(rounds):
        for name in list(best) if number % 2 == 0 else list(best)[::-1]:
            for place, setting in enumerate(_settings(best[name])):
                times.setdefault((name, place), []).append(_once(best[name], setting, split))
    return [_row(name, one, [times[name, place] for place in range(len(_settings(one)))], target)
            for name, one in best.items()]  # fmt: skip


def _settings(one: Best) -> list[Setting]:
    return [one.setting, *([one.before[0]] if one.before is not None else [])]


def _once(one: Best, setting: Setting, split: Split) -> dict[str, float]:
    one.contender.set(setting)
    queries = split.queries[: FEW if one.row["p50_ms"] > SLOW_MS else QUERIES]
    single, batch = singly(one.contender, queries), batched(one.contender, queries)
    return {
        "p50_ms": float(np.median(single)) * 1e3,
        "p99_ms": float(np.percentile(single, 99)) * 1e3,
        "batch32_ms": float(np.median(batch)) * 1e3,
    }


def _row(name: str, one: Best, times: Sequence[Sequence[dict[str, float]]], target: float) -> dict[str, Any]:
    row = {"library": name, "index": one.plan.label, **shown(one.setting)}
    row |= {column: one.row[column] for column in ("recall", "size_mib", "build_s")}
    for column in ("p50_ms", "p99_ms", "batch32_ms"):
        rounds = [each[column] for each in times[0]]
        row[column] = round(float(np.median(rounds)), 4)
        row[f"{column}_rounds"] = [round(min(rounds), 4), round(max(rounds), 4)]
    for column, said in (("p50_ms", "equal_ms"), ("batch32_ms", "equal_batch32_ms")):
        medians = [float(np.median([each[column] for each in rounds])) for rounds in times]
        recalls = [one.row["recall"], *([one.before[1]["recall"]] if one.before is not None else [])]
        row[said] = round(between(target, recalls, medians), 4)
    return row


def between(target: float, recalls: Sequence[float], times: Sequence[float]) -> float:
    """Time at `target`, of a setting that finds at least so much and perhaps one that finds less."""
    if len(recalls) < 2:
        return times[0]
    share = (target - recalls[1]) / (recalls[0] - recalls[1])
    return exp(log(times[1]) + share * (log(times[0]) - log(times[1])))
