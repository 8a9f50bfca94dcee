"""What several starts of both sides say together: two processes of the same server need not be equally fast.

Within one start a difference may be as sure as one likes and still be one of that start. So each start gives one
number, and the spread of those is what the difference is held against.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from perf.compare.latency import Latency, Shown
from perf.signed_rank import shift

LEAST = 3
"""Starts; of two numbers the spread says next to nothing."""


def together(ratios: Sequence[Sequence[float]], alpha: float) -> Latency:
    """Student's interval of the starts' differences (Gosset, Biometrika 6, 1908).

    Args:
        ratios: of each start, B's time as a multiple of A's, pair by pair.
        alpha: how often it may show a difference where there is none.

    Raises:
        ValueError: too few starts, or one without pairs.
    """
    if len(ratios) < LEAST or not all(ratios):
        raise ValueError(f"{len(ratios)} starts; {LEAST} or more are needed, with pairs each")
    found = np.array([shift(np.log(np.asarray(some, np.float64)), 0.0).difference for some in ratios])
    middle = float(found.mean())
    reach = float(t.ppf(1 - alpha / 2, found.size - 1) * found.std(ddof=1) / np.sqrt(found.size))
    change, low, high = (float(np.expm1(one)) for one in (middle, middle - reach, middle + reach))
    shown: Shown = "no difference shown" if low <= 0 <= high else "slower" if middle > 0 else "faster"
    return Latency(shown, change, low, high, sum(map(len, ratios)), False)
