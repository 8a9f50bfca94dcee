"""How sure one can be of a difference between two models that did the same cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

Z = 1.959964
"""Of a two-sided interval of 95 %."""
RESAMPLES = 10_000
TANGO = "score interval for paired proportions (Tango, Statistics in Medicine 17, 1998)"
BOOTSTRAP = (
    "paired bootstrap, percentiles of 10 000 resamples (Efron & Tibshirani, 1993, ch. 13), with one imaginary case in "
    "each direction (after Agresti & Min, Statistics in Medicine 24, 2005)"
)


@dataclass(frozen=True)
class Interval:
    """A difference of means with its 95 % interval, and the formula that it is from."""

    difference: float
    low: float
    high: float
    formula: str


def paired(reference: Scores, artifact: Scores, seed: int = 0) -> Interval:
    """Mean of `artifact - reference` over cases.

    Scores that are right or wrong get Tango's interval, others a bootstrap. Both stay honest where the two never
    differ: no difference in n cases does not rule out one of about 4 / n.

    Args:
        reference: one score from 0 to 1 for each case.
        artifact: the same cases in the same order.
        seed: of the resamples.

    Raises:
        ValueError: another number of cases, none, or a score outside 0 to 1.
    """
    if reference.shape != artifact.shape or not reference.size:
        raise ValueError(f"scores of {reference.size} and {artifact.size} cases cannot be compared")
    both = np.concatenate([reference, artifact])
    if not ((both >= 0) & (both <= 1)).all():  # NaN is outside too
        raise ValueError("a score is not between 0 and 1")
    change = artifact - reference
    if np.isin(both, (0.0, 1.0)).all():
        low, high = tango(int((change > 0).sum()), int((change < 0).sum()), change.size)
        return Interval(float(change.mean()), low, high, TANGO)
    low, high = _bootstrap(change, seed)
    return Interval(float(change.mean()), low, high, BOOTSTRAP)


def tango(gained: int, lost: int, cases: int) -> tuple[float, float]:
    """95 % interval of (gained - lost) / cases: the differences that a score test does not reject."""

    def statistic(delta: float) -> float:
        a, b, c = 2.0 * cases, (2 * cases - gained + lost) * delta - gained - lost, -lost * delta * (1 - delta)
        share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        spread = cases * (2 * share + delta * (1 - delta))
        off = gained - lost - cases * delta
        return off / math.sqrt(spread) if spread > 0 else math.copysign(math.inf, off) if off else 0.0

    centre = (gained - lost) / cases
    return (
        _cross(lambda delta: statistic(delta) <= Z, -1.0, centre),
        -_cross(lambda delta: -statistic(-delta) <= Z, -1.0, -centre),
    )


def _cross(inside: Callable[[float], bool], outer: float, inner: float) -> float:
    """Where `inside` begins to hold on the way from `outer` to `inner`, by bisection."""
    if inside(outer):
        return outer
    for _ in range(60):
        middle = (outer + inner) / 2
        outer, inner = (outer, middle) if inside(middle) else (middle, inner)
    return inner


def _bootstrap(change: Scores, seed: int) -> tuple[float, float]:
    cases = np.concatenate([change, [-1.0, 1.0]])
    rng = np.random.default_rng(seed)
    means = np.concatenate([rng.choice(cases, (100, cases.size)).mean(axis=1) for _ in range(RESAMPLES // 100)])
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
