"""What is shown of pairs of times."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from perf.compare.latency import LEAST, Sequential
from perf.compare.simulated import simulated
from perf.signed_rank import shift, statistic

ALPHA = 0.02


def noise(seed: int, count: int = 400) -> NDArray[np.float64]:
    """Ratios of two sides that are the same, with the tails of a machine that others use too."""
    rng = np.random.default_rng(seed)
    logs = rng.normal(0, 0.1, (2, count)) + np.where(rng.random((2, count)) < 0.05, rng.exponential(0.7, (2, count)), 0)
    ratios: NDArray[np.float64] = np.exp(logs[1] - logs[0])
    return ratios


def test_the_statistic_is_wilcoxons() -> None:
    drawn = np.random.default_rng(1).normal(0.1, 1, 300)
    known = wilcoxon(drawn, zero_method="pratt", correction=False, method="asymptotic").zstatistic
    assert abs(statistic(drawn)) == pytest.approx(abs(known), rel=1e-9)
    assert statistic(np.zeros(5)) == 0.0
    assert statistic(-drawn) == -statistic(drawn)


def test_the_interval_holds_what_the_statistic_does_not_reject() -> None:
    drawn = np.random.default_rng(2).normal(0.3, 1, 120)
    found = shift(drawn, 1.96)
    assert found.low < found.difference < found.high
    for inside in (found.low + 1e-3, found.difference, found.high - 1e-3):
        assert abs(statistic(drawn - inside)) < 1.96
    for outside in (found.low - 0.02, found.high + 0.02):
        assert abs(statistic(drawn - outside)) > 1.96


def test_of_runs_that_are_the_same_hardly_any_shows_a_difference() -> None:
    found = simulated(noise(0), 1.0, 400, ALPHA, 100)
    assert sum(one.shown == "no difference shown" for one in found) >= 95
    assert all(one.low <= 0 <= one.high for one in found if one.shown == "no difference shown")


@pytest.mark.parametrize(("factor", "shown"), [(1.05, "slower"), (1 / 1.05, "faster")])
def test_five_per_cent_are_found_and_early(factor: float, shown: str) -> None:
    found = simulated(noise(0), factor, 400, ALPHA, 100)
    assert sum(one.shown == shown for one in found) >= 90
    assert np.mean([one.pairs for one in found]) < 300
    assert np.median([one.change for one in found]) == pytest.approx(factor - 1, abs=0.02)


def test_a_run_that_is_stopped_early_says_so() -> None:
    found = Sequential(400, ALPHA).run(2.0 * noise(3))
    assert (found.shown, found.stopped_early) == ("slower", True)
    assert found.pairs < 400
    assert found.low > 0.5


def test_few_pairs_are_looked_at_once_or_not_at_all() -> None:
    assert Sequential(LEAST, ALPHA).at == [LEAST]
    with pytest.raises(ValueError, match="too few"):
        Sequential(LEAST - 1, ALPHA)
    with pytest.raises(ValueError, match="3 pairs came"):
        Sequential(LEAST, ALPHA).run([1.0, 1.1, 0.9])
