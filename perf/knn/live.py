"""Searches while the index takes vectors and is built again, beside searches while nothing goes on, in turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perf.knn.data import Dataset
from perf.knn.sweep import K
from pixelis.index_config import IndexConfig, Live
from pixelis.schema import Claim
from python_backends.experience.aside import Aside
from python_backends.experience.indexes import FaissIndex
from python_backends.experience.live import LiveIndex
from python_backends.experience.tuning import Limits
from python_backends.experience.tuning.retune import SERVING, retuner

PER_SECOND = 200
"""Vectors that are added, and as many taken out, so that the number stays."""
PACE_S = 0.0025
"""Between the beginnings of two searches."""
SEARCHES = 4000
"""Of a turn: five rounds make 20 000 a phase."""
TIMES = 1.5
"""Of its p99 when nothing else goes on, that a search may take."""
LONGEST = 3
"""So many times its searches a turn takes at most, to see the end of what is being built."""

Times = NDArray[np.float64]


@dataclass(frozen=True)
class Phase:
    """What goes on beside the searches, from the beginning to the end.

    Attributes:
        inserting: 200 vectors a second come, and as many go.
        building: everything is learned again, and as soon as that is done once more; a turn sees one swap at least.
        tuning: as `building`, the tuner measuring other indexes first; every round begins with another kind.
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
    """The turn is over: nothing more is tuned."""


@dataclass
class _Turns:
    """Of one phase, round by round: times of its searches, and of those before and after it while nothing went on."""

    busy: list[Times] = field(default_factory=list)
    idle: list[Times] = field(default_factory=list)
    merges: int = 0
    inserted: int = 0


class _Bench:
    """The index, and what goes on beside its searches.

    Args:
        stored: `[n, D]`, of which the last `spare` are left out, to be inserted.
        queries: `[q, D]`.
        searches: of a turn.
    """

    def __init__(
        self, config: IndexConfig, stored: NDArray[np.float32], queries: NDArray[np.float32], live: Live, searches: int
    ) -> None:
        self._stored, self._queries, self._count = stored, queries, searches
        self._tuner, self._done = retuner(Limits()), threading.Event()

        def tuner(
            base: FaissIndex, asked: NDArray[np.float32], aside: Aside, between: Callable[[], None]
        ) -> IndexConfig:
            def unless_enough() -> None:
                between()
                if self._done.is_set():
                    raise _Enough

            with suppress(_Enough):
                self._tuner(base, asked, aside, unless_enough)
            return config  # what is searched stays the same, so that only what goes on beside it differs

        self.index = LiveIndex(config, stored.shape[1], live=live, tuner=tuner)

    def fill(self, count: int) -> None:
        """Put the first `count` in, and wait until they are trained on."""
        self.index.add(np.arange(count), self._stored[:count])
        self.index.settle()
        self._next = count

    def idle(self) -> Times:
        """Seconds of searches while nothing goes on."""
        return self._searches(lambda: True)

    def turn(self, phase: Phase, number: int, turns: _Turns) -> None:
        """The turn of `phase` in the round `number`, added to `turns`."""
        grids = SERVING[number % len(SERVING) :] + SERVING[: number % len(SERVING)]
        self._tuner = retuner(Limits(), grids)
        self._done.clear()
        merges = self.index.parameters()["merges"]
        again = self.index.retune if phase.tuning else self.index.rebuild
        jobs = [threading.Thread(target=self._insert, args=(turns,))] if phase.inserting else []
        if phase.building or phase.tuning:
            jobs.append(threading.Thread(target=self._over_and_over, args=(again,)))
        for job in jobs:
            job.start()
        turns.busy.append(
            self._searches(lambda: not phase.building or self.index.parameters()["merges"] > merges),
        )
        turns.merges += self.index.parameters()["merges"] - merges
        self._done.set()
        for job in jobs:
            job.join()
        self.index.settle()

    def _searches(self, seen: Callable[[], bool]) -> Times:
        """One at a time, a new one every 2.5 ms at most, until there are enough and `seen`; seconds of each."""
        times: list[float] = []
        while len(times) < self._count or (len(times) < LONGEST * self._count and not seen()):
            query = self._queries[len(times) % len(self._queries)][np.newaxis]
            start = time.perf_counter()
            self.index.search(query, K)
            times.append(time.perf_counter() - start)
            time.sleep(max(PACE_S - times[-1], 0))
        return np.array(times)

    def _insert(self, turns: _Turns) -> None:
        """200 a second, as long as there are any: one comes, and the oldest goes."""
        start, first, behind = time.monotonic(), self._next, len(self.index)
        while self._next < len(self._stored):
            number = self._next
            self.index.add(np.array([number]), self._stored[number : number + 1])
            self.index.remove(np.array([number - behind]))
            self._next, turns.inserted = number + 1, turns.inserted + 1
            if self._done.wait(max(start + (self._next - first) / PER_SECOND - time.monotonic(), 0)):
                return

    def _over_and_over(self, again: Callable[[], None]) -> None:
        while not self._done.is_set():
            again()
            while not self.index.settle(0.2):
                if self._done.is_set():
                    return


def live(
    data: Dataset,
    config: IndexConfig,
    rounds: int,
    watch: Callable[[str], None],
    searches: int = SEARCHES,
    tail: int = 512,
) -> tuple[list[dict[str, Any]], list[Claim]]:
    """p99 of paced searches in every phase against idle, in turns: idle, a phase, idle, the next phase, and so on.

    A turn is compared with the idle ones before and after it, so that a machine which drifts is no part of the ratio;
    what is reported is the median of the rounds, and their range.
    """
    stored, queries = data.split.stored, data.split.queries
    inserting = sum(phase.inserting for phase in PHASES)
    spare = rounds * inserting * int(LONGEST / 2 * PER_SECOND * PACE_S * searches)
    bench = _Bench(config, stored, queries, Live(flat_below=0, tail=tail, growth=1e9), searches)
    watch(f"live: building {config.label}")
    bench.fill(len(stored) - spare)
    turns = {phase: _Turns() for phase in PHASES}
    idle = [bench.idle()]
    for number in range(rounds):
        for phase in PHASES:
            watch(f"live: {phase.name}, round {number + 1} of {rounds}")
            bench.turn(phase, number, turns[phase])
            idle.append(bench.idle())
            turns[phase].idle.append(np.concatenate(idle[-2:]))
    bench.index.close()
    rows = [_row(phase, turns[phase]) for phase in PHASES]
    claimed = [_claim(f"{data.name}, {config.label}", row) for row in rows]
    return [{"phase": "idle", **_times(np.concatenate(idle))}, *rows], claimed


def _row(phase: Phase, turns: _Turns) -> dict[str, Any]:
    pairs = zip(turns.busy, turns.idle, strict=True)
    ratios = [_percentile(busy, 99) / _percentile(idle, 99) for busy, idle in pairs]
    return {
        "phase": phase.name,
        **_times(np.concatenate(turns.busy)),
        "merges": turns.merges,
        "inserted": turns.inserted,
        "idle_p99_ms": _percentile(np.concatenate(turns.idle), 99),
        "times_idle_p99": round(float(np.median(ratios)), 3),
        "times_idle_p99_rounds": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def _claim(name: str, row: dict[str, Any]) -> Claim:
    times, (least, most) = row["times_idle_p99"], row["times_idle_p99_rounds"]
    said = f"{name}: p99 of a search while {row['phase']}, against idle ({least:g}-{most:g} over rounds)"
    return Claim(claim=said, target=TIMES, measured=times, unit="x", met=times <= TIMES)


def _times(seconds: Times) -> dict[str, Any]:
    return {
        "searches": len(seconds),
        "p50_ms": _percentile(seconds, 50),
        "p99_ms": _percentile(seconds, 99),
        "p999_ms": _percentile(seconds, 99.9),
        "max_ms": _percentile(seconds, 100),
    }


def _percentile(seconds: Times, share: float) -> float:
    """In milliseconds."""
    return round(float(np.percentile(seconds, share)) * 1e3, 4)
