"""Recall against time: every index at every setting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perf.knn.contenders import Contender, Plan
from perf.knn.contenders.contender import Setting
from python_backends.experience.tuning import Split, Truth
from python_backends.experience.tuning.trial import low

Vectors = NDArray[np.float32]

K = 10
TIMED = 200
WARM = 10
THOROUGH = 0.999
BATCH = 32


@dataclass
class Best:
    """The fastest of a library that finds enough, kept to be measured again.

    Attributes:
        before: setting and row of the same index one step quicker, where that finds too little: between the two lies
            the recall at which libraries are compared.
    """

    plan: Plan
    contender: Contender
    setting: Setting
    row: dict[str, Any]
    before: tuple[Setting, dict[str, Any]] | None = None


@dataclass
class Swept:
    """Rows of a data set, and the best of each library."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Best] = field(default_factory=dict)


def sweep(
    plans: Iterable[Plan], split: Split, truth: Truth, target: float, threads: int, watch: Callable[[str], None]
) -> Swept:
    """Build every plan, and search by all of its settings until one finds nearly everything.

    Args:
        plans: what to build.
        split: what is stored and asked.
        truth: the k nearest of each query.
        target: recall from which an index may be the best of its library.
        threads: to build with.
        watch: told what is being built, and what came of it, so that a sweep that is stopped has said something.
    """
    found = Swept()
    for plan in plans:
        watch(plan.label)
        start = time.perf_counter()
        contender = plan.build(split.stored, threads)
        built = {"build_s": round(time.perf_counter() - start, 2), "size_mib": round(contender.size_bytes() / 2**20, 1)}
        for chain in plan.chains:
            before = None
            for setting in chain:
                contender.set(setting)
                row = {"library": plan.library, "family": plan.family, "index": plan.label, **shown(setting), **built}
                row |= measured(contender, split.queries, truth)
                found.rows.append(row)
                _keep(found, Best(plan, contender, setting, row, before), target)
                before = (setting, row) if row["recall"] < target else None
                if row["recall"] >= THOROUGH:
                    break
            watch(f"{plan.label}: {built['build_s']} s to build, recall {row['recall']} in {row['p50_ms']} ms")
    return found


def shown(setting: Setting) -> dict[str, Any]:
    """A setting's numbers, as columns."""
    return {name: value for name, value in setting.items() if name != "config"}


def measured(contender: Contender, queries: Vectors, truth: Truth) -> dict[str, Any]:
    """Recall on all queries, time of some of them, one by one."""
    found = np.concatenate([contender.search(queries[i : i + BATCH], K) for i in range(0, len(queries), BATCH)])
    shares = truth.recalls(found)
    times = singly(contender, queries[: TIMED + WARM])
    return {
        "recall": round(float(shares.mean()), 4),
        "recall_low": round(low(shares), 4),
        "p50_ms": round(float(np.median(times)) * 1e3, 4),
        "p99_ms": round(float(np.percentile(times, 99)) * 1e3, 4),
        "qps": round(float(1 / times.mean()), 1),
    }


def singly(contender: Contender, queries: Vectors) -> NDArray[np.float64]:
    """Seconds of each query alone, the first ones not counted."""
    times = np.empty(len(queries))
    for i in range(len(queries)):
        query = queries[i : i + 1]
        start = time.perf_counter()
        contender.search(query, K)
        times[i] = time.perf_counter() - start
    return times[min(WARM, len(times) // 2) :]


def batched(contender: Contender, queries: Vectors) -> NDArray[np.float64]:
    """Seconds a query in batches of 32, one for each batch."""
    times = []
    for start in range(0, len(queries) - BATCH + 1, BATCH):
        part = queries[start : start + BATCH]
        begun = time.perf_counter()
        contender.search(part, K)
        times.append((time.perf_counter() - begun) / BATCH)
    return np.array(times)


def _keep(found: Swept, one: Best, target: float) -> None:
    best = found.best.get(one.plan.library)
    if one.row["recall"] >= target and (best is None or one.row["p50_ms"] < best.row["p50_ms"]):
        found.best[one.plan.library] = one
