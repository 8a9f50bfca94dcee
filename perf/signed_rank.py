"""By how much the second of a pair is larger, whatever the pairs are like: Wilcoxon's signed ranks.

Times of a shared machine have long tails; one answer that took ten times as long weighs no more here than one that
took twice as long, and yet nearly nothing is lost against a t test where there are no tails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Differences = NDArray[np.float64]


@dataclass(frozen=True)
class Shift:
    """A difference and how sure it is.

    Attributes:
        difference: the median of all means of two differences (Hodges & Lehmann, Ann. Math. Stat. 34, 1963).
        low: of its interval.
        high: of the same.
    """

    difference: float
    low: float
    high: float


def statistic(differences: Differences) -> float:
    """Standard normal where differences lie around 0 evenly; positive where they tend upwards (Wilcoxon, 1945).

    Those of exactly 0 keep their ranks and count for neither side (Pratt, JASA 54, 1959).
    """
    ranks = rankdata(np.abs(differences))
    signs = np.sign(differences)
    spread = float(np.sqrt((ranks[signs != 0] ** 2).sum()))
    return float((signs * ranks).sum()) / spread if spread else 0.0


def shift(differences: Differences, z: float) -> Shift:
    """The difference, and those that the statistic would not reject at `z`.

    Args:
        differences: second less first, one a pair; at least one.
        z: as the statistic is compared with.
    """
    first, second = np.triu_indices(differences.size)
    means = np.sort((differences[first] + differences[second]) / 2)
    n = differences.size
    reach = z * np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    least = int(max(0, np.floor(means.size / 2 - reach)))
    return Shift(float(np.median(means)), float(means[least]), float(means[means.size - 1 - least]))
