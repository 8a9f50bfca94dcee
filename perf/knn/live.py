"""Searches while the index takes vectors and is built again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perf.knn.data import Dataset
from perf.knn.sweep import K
from pixelis.index_config import IndexConfig, Live
from pixelis.schema import Claim
from python_backends.experience.indexes import FaissIndex
from python_backends.experience.live import LiveIndex
from python_backends.experience.tuning import Limits
from python_backends.experience.tuning.retune import retuner

PER_SECOND = 200
"""Vectors that are added, and as many taken out, so that the number stays."""
PACE_S = 0.005
"""Between the beginnings of two searches."""
TIMES = 1.5
"""Of its p99 when nothing else goes on, that a search may take."""


@dataclass(frozen=True)
class Phase:
    """What goes on beside the searches, from the beginning to the end.

    Attributes:
        inserting: 200 vectors a second come, and as many go.
        building: everything is learned again, and as soon as that is done once more.
        tuning: as `building`, the tuner measuring other indexes first.
    """

    name: str
    inserting: bool = False
    building: bool = False
    tuning: bool = False


PHASES = (
    Phase("idle"),
    Phase("inserting", inserting=True),
    Phase("rebuilding", building=True),
    Phase("retuning", tuning=True),
    Phase("inserting and retuning", inserting=True, tuning=True),
)


def live(
    data: Dataset, config: IndexConfig, seconds: float, watch: Callable[[str], None], tail: int = 512
) -> tuple[list[dict[str, Any]], list[Claim]]:
    """p99 of paced searches, in every phase."""
    choose = retuner(Limits())

    def tuner(base: FaissIndex, queries: NDArray[np.float32], between: Callable[[], None]) -> IndexConfig:
        choose(base, queries, between)
        return config  # what is searched stays the same, so that only what goes on beside it differs

    spare = 2 * (int(PER_SECOND * seconds) + tail)
    stored = data.split.stored
    watch(f"live: building {config.label}")
    index = LiveIndex(config, data.split.width, live=Live(flat_below=0, tail=tail, growth=1e9), tuner=tuner)
    first = len(stored) - spare
    index.add(np.arange(first), stored[:first])
    index.settle()
    rows: list[dict[str, Any]] = []
    half = spare // 2
    for phase in PHASES:
        watch(f"live: {phase.name}")
        start = first + half * sum(row["inserted"] > 0 for row in rows)
        rows.append(_phase(index, phase, data.split.queries, stored[start : start + half], start, seconds))
    index.close()
    idle = rows[0]["p99_ms"]
    return rows, [
        Claim(
            claim=f"{data.name}: p99 of a search while {row['phase']}, against idle",
            target=TIMES,
            measured=round(row["p99_ms"] / idle, 3),
            unit="x",
            met=row["p99_ms"] <= TIMES * idle,
        )
        for row in rows[1:]
    ]


def _phase(
    index: LiveIndex,
    phase: Phase,
    queries: NDArray[np.float32],
    spare: NDArray[np.float32],
    first: int,
    seconds: float,
) -> dict[str, Any]:
    end, done, merges = time.monotonic() + seconds, threading.Event(), index.parameters()["merges"]
    inserted: list[int] = []
    jobs = []
    if phase.inserting:
        jobs.append(threading.Thread(target=_insert, args=(index, spare, first, done, inserted)))
    if phase.building or phase.tuning:
        again = index.retune if phase.tuning else index.rebuild
        jobs.append(threading.Thread(target=_over_and_over, args=(index, again, done)))
    for job in jobs:
        job.start()
    times = _searches(index, queries, end)
    merged = index.parameters()["merges"] - merges
    done.set()
    for job in jobs:
        job.join()
    index.settle()
    return {
        "phase": phase.name,
        "searches": len(times),
        "p50_ms": round(float(np.median(times)) * 1e3, 4),
        "p99_ms": round(float(np.percentile(times, 99)) * 1e3, 4),
        "max_ms": round(float(times.max()) * 1e3, 3),
        "new_bases": merged,
        "inserted": len(inserted),
        "vectors": len(index),
        "recall": round(index.recall.value, 4),
    }


def _over_and_over(index: LiveIndex, again: Callable[[], None], done: threading.Event) -> None:
    while not done.is_set():
        again()
        while not index.settle(0.2):
            if done.is_set():
                return


def _searches(index: LiveIndex, queries: NDArray[np.float32], end: float) -> NDArray[np.float64]:
    """One at a time, a new one every 5 ms at most, until `end`; seconds of each."""
    times: list[float] = []
    while time.monotonic() < end:
        query = queries[len(times) % len(queries)][np.newaxis]
        start = time.perf_counter()
        index.search(query, K)
        times.append(time.perf_counter() - start)
        time.sleep(max(PACE_S - times[-1], 0))
    return np.array(times)


def _insert(
    index: LiveIndex, spare: NDArray[np.float32], first: int, done: threading.Event, inserted: list[int]
) -> None:
    """200 a second: one comes, and the oldest goes."""
    start, oldest = time.monotonic(), first - len(index)
    for i in range(len(spare)):
        index.add(np.array([first + i]), spare[i : i + 1])
        index.remove(np.array([oldest + i]))
        inserted.append(i)
        if done.wait(max(start + (i + 1) / PER_SECOND - time.monotonic(), 0)):
            return
