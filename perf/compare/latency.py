"""Looks at pairs of times as they come, and stops as soon as one side is shown to take longer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from perf.compare.boundaries import boundaries
from perf.signed_rank import shift, statistic

Shown = Literal["faster", "slower", "no difference shown"]
LOOKS = 10
LEAST = 20
"""Pairs before the first look: with fewer the statistic is not normal yet."""


@dataclass(frozen=True)
class Latency:
    """What pairs say.

    Attributes:
        shown: of B against A.
        change: how much longer B takes, as a share of A's time; negative = less.
        low: of the interval of `change`.
        high: of the same.
        pairs: how many were looked at.
        stopped_early: whether more would have been asked.
    """

    shown: Shown
    change: float
    low: float
    high: float
    pairs: int
    stopped_early: bool


class Sequential:
    """A test that may be looked at as it goes.

    Args:
        most: pairs, if it is not stopped before.
        alpha: how often it may show a difference where there is none.
        looks: at most.

    Raises:
        ValueError: fewer pairs than one look takes.
    """

    def __init__(self, most: int, alpha: float, looks: int = LOOKS) -> None:
        if most < LEAST:
            raise ValueError(f"{most} pairs are too few: a look takes {LEAST}")
        count = max(1, min(looks, most // LEAST))
        self.at = [round(most * (number + 1) / count) for number in range(count)]
        self._bounds = boundaries([at / most for at in self.at], alpha)

    def look(self, ratios: Sequence[float]) -> Latency | None:
        """What is shown; none where nothing is yet, or no look is due.

        Args:
            ratios: B's time as a multiple of A's, pair by pair.
        """
        if len(ratios) not in self.at:
            return None
        bound = self._bounds[self.at.index(len(ratios))]
        logs = np.log(np.asarray(ratios, np.float64))
        off, last = statistic(logs), len(ratios) == self.at[-1]
        if abs(off) < bound and not last:
            return None
        found = shift(logs, bound)
        shown: Shown = "no difference shown" if abs(off) < bound else "slower" if off > 0 else "faster"
        change, low, high = (float(np.expm1(one)) for one in (found.difference, found.low, found.high))
        return Latency(shown, change, low, high, len(ratios), not last)

    def run(self, ratios: Iterable[float]) -> Latency:
        """The same for pairs that come one by one. Raises `ValueError` where they end too soon."""
        seen: list[float] = []
        for ratio in ratios:
            seen.append(ratio)
            if (found := self.look(seen)) is not None:
                return found
        raise ValueError(f"{len(seen)} pairs came; {self.at[-1]} were to come")
