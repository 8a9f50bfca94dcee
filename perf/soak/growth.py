"""Whether a series grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

LEAST_SHARE = 0.01
"""Of its level: what grows by less over the whole time is called flat, however sure that growth is."""
BLOCKS = 20
"""Medians of so many stretches of time, so that neighbours in time are not taken for independent."""


@dataclass(frozen=True)
class Growth:
    """Over the time that was looked at.

    Attributes:
        level: the median.
        change: how much it grew by a line through it, in units of the series (Sen, JASA 63, 1968).
        low: of the interval of 95 %.
        high: of the same.
        course: medians of stretches of the time, in order: what levels off is no leak.
    """

    level: float
    change: float
    low: float
    high: float
    course: tuple[float, ...] = ()

    @property
    def flat(self) -> bool:
        """Whether no growth is shown, or next to none."""
        return self.low <= 0 or self.change < LEAST_SHARE * self.level


def growth(at: Sequence[float], values: Sequence[float]) -> Growth:
    """Of a series over all of its time.

    Args:
        at: seconds, rising; two or more.
        values: one each.
    """
    blocks = min(BLOCKS, len(at))
    times = [float(np.median(some)) for some in np.array_split(np.asarray(at, np.float64), blocks)]
    levels = [float(np.median(some)) for some in np.array_split(np.asarray(values, np.float64), blocks)]
    found, span = theilslopes(levels, times, 0.95), at[-1] - at[0]
    change, low, high = (float(one) * span for one in (found[0], found[2], found[3]))
    return Growth(float(np.median(values)), change, low, high, tuple(levels))
