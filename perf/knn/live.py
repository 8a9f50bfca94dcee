"""Searches while the index takes vectors and is built again, beside searches while nothing goes on, in turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
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
    Phase("inserting", inserting=True),
    Phase("rebuilding", building=True),
    Phase("retuning", tuning=True),
    Phase("inserting and retuning", inserting=True, tuning=True),
)


class _Enough(Exception):
    """The phase is over: nothing more is tuned."""


def live(
    data: Dataset, config: IndexConfig, seconds: float, watch: Callable[[str], None], tail: int = 512
) -> tuple[list[dict[str, Any]], list[Claim]]:
    """p99 of paced searches, in every phase, and half as long while nothing goes on, before each and at the end.

    A phase is compared with the idle times before and after it.
    """
    choose, done = retuner(Limits()), threading.Event()

    def tuner(base: FaissIndex, queries: NDArray[np.float32], between: Callable[[], None]) -> IndexConfig:
        def unless_enough() -> None:
            between()
            if done.is_set():
                raise _Enough

        with suppress(_Enough):
            choose(base, queries, unless_enough)
        return config  # what is searched stays the same, so that only what goes on beside it differs

    spare = 2 * (int(PER_SECOND * seconds) + tail)
    stored, queries = data.split.stored, data.split.queries
    watch(f"live: building {config.label}")
    index = LiveIndex(config, data.split.width, live=Live(flat_below=0, tail=tail, growth=1e9), tuner=tuner)
    first = len(stored) - spare
    index.add(np.arange(first), stored[:first])
    index.settle()
    rows: list[dict[str, Any]] = []
    idle: list[NDArray[np.float64]] = []
    claimed: list[Claim] = []
    half = spare // 2
    for phase in PHASES:
        watch(f"live: {phase.name}")
        idle.append(_searches(index, queries, time.monotonic() + seconds / 2))
        start = first + half * sum(row["inserted"] > 0 for row in rows)
        rows.append(_phase(index, phase, queries, stored[start : start + half], start, seconds, done))
    idle.append(_searches(index, queries, time.monotonic() + seconds / 2))
    index.close()
    for row, before, after in zip(rows, idle, idle[1:], strict=False):
        beside = np.concatenate([before, after])
        row["idle_p50_ms"], row["idle_p99_ms"] = _percentile(beside, 50), _percentile(beside, 99)
        row["times_idle_p99"] = round(row["p99_ms"] / row["idle_p99_ms"], 3)
        claimed.append(_claim(f"{data.name}, {config.label}", row))
    return [{"phase": "idle", **_times(np.concatenate(idle))}, *rows], claimed


def _claim(name: str, row: dict[str, Any]) -> Claim:
    said, times = f"{name}: p99 of a search while {row['phase']}, against idle", row["times_idle_p99"]
    return Claim(claim=said, target=TIMES, measured=times, unit="x", met=times <= TIMES)


def _times(seconds: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "searches": len(seconds),
        "p50_ms": _percentile(seconds, 50),
        "p99_ms": _percentile(seconds, 99),
        "max_ms": _percentile(seconds, 100),
    }


def _percentile(seconds: NDArray[np.float64], share: float) -> float:
    """In milliseconds."""
    return round(float(np.percentile(seconds, share)) * 1e3, 4)


def _phase(
    index: LiveIndex,
    phase: Phase,
    queries: NDArray[np.float32],
    spare: NDArray[np.float32],
    first: int,
    seconds: float,
    done: threading.Event,
) -> dict[str, Any]:
    done.clear()
    end, merges = time.monotonic() + seconds, index.parameters()["merges"]
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
        **_times(times),
        "merges": merged,
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
