"""Latency of several callables that take turns, so that what slows the machine for a while slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from pydantic import BaseModel, ConfigDict

from pixelis.errors import BuildError

WARM_S = 0.2
"""Calls slower than this need no extra unmeasured call at the start of their turn: caches are nothing to them."""


class Timing(BaseModel):
    """What one callable took, over all rounds.

    Attributes:
        p50_ms, p90_ms, p95_ms, p99_ms: percentiles of single calls.
        low_ms, high_ms: lowest and highest median of a round.
        throughput_per_s: batch items a second, at the median.
        runs: measured calls.
    """

    model_config = ConfigDict(extra="forbid")

    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    low_ms: float
    high_ms: float
    throughput_per_s: float
    runs: int


@dataclass(frozen=True)
class Turns:
    """How long is measured.

    Attributes:
        rounds: how often every callable takes its turn.
        turn_s: about how long one turn takes; a single call may take longer.
        calls: most calls of a turn.
    """

    rounds: int = 5
    turn_s: float = 0.2
    calls: int = 100

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.turn_s <= 0 or self.calls < 1:
            raise BuildError("A measurement needs at least one round and one call.", mend="For instance --rounds 5.")


@dataclass(frozen=True)
class Timed:
    """Something to call.

    Attributes:
        call: what is measured.
        reset: brings its state back before each call, unmeasured; none = it has no state.
    """

    call: Callable[[], object]
    reset: Callable[[], object] | None = None

    def once(self) -> float:
        """Seconds of one call."""
        if self.reset is not None:
            self.reset()
        started = time.perf_counter()
        self.call()
        return time.perf_counter() - started


@dataclass
class Rounds:
    """Seconds of single calls, by round."""

    seconds: list[list[float]] = field(default_factory=list)

    def timing(self, batch: int) -> Timing:
        """Summed up, for calls of `batch` items."""
        pooled = 1e3 * np.array([second for one in self.seconds for second in one])
        p50, p90, p95, p99 = (round(float(np.percentile(pooled, q)), 4) for q in (50, 90, 95, 99))
        medians = [1e3 * median(one) for one in self.seconds]
        return Timing(
            p50_ms=p50,
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
            low_ms=round(min(medians), 4),
            high_ms=round(max(medians), 4),
            throughput_per_s=round(1e3 * batch / max(p50, 1e-6), 3),
            runs=len(pooled),
        )

    def ratios(self, other: Rounds, of: Callable[[list[float]], float] = median) -> list[float]:
        """By round: how many times this one's median (or what else `of` takes) is the other's."""
        pairs = zip(self.seconds, other.seconds, strict=True)
        return [of(mine) / max(of(theirs), 1e-9) for mine, theirs in pairs]


def take_turns(sides: Mapping[str, Timed], turns: Turns) -> dict[str, Rounds]:
    """Warm every side up, then let them take turns; every other round in the opposite order.

    Whatever a side raises is raised.
    """
    calls = {name: _calls(side, turns) for name, side in sides.items()}
    found = {name: Rounds() for name in sides}
    names = list(sides)
    for number in range(turns.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            side, (count, warm) = sides[name], calls[name]
            if warm:
                side.once()
            found[name].seconds.append([side.once() for _ in range(count)])
    return found


def _calls(side: Timed, turns: Turns) -> tuple[int, bool]:
    """Measured calls of a turn, and whether an unmeasured one goes before them; two calls of warm-up."""
    side.once()
    estimate = side.once()
    return max(1, min(turns.calls, int(turns.turn_s / max(estimate, 1e-6)))), estimate < WARM_S
