"""Whether a series grows: noise does not, a leak does."""

from __future__ import annotations

import numpy as np

from perf.soak.growth import growth

AT = [10.0 * number for number in range(120)]


def test_noise_and_a_step_back_are_flat() -> None:
    rng = np.random.default_rng(0)
    assert all(growth(AT, (1000 + rng.normal(0, 5, 120)).tolist()).flat for _ in range(50))
    assert growth(AT, [1000.0] * 60 + [900.0] * 60).flat


def test_a_leak_is_found_and_its_size_told() -> None:
    rng = np.random.default_rng(0)
    found = [growth(AT, (1000 + np.linspace(0, 40, 120) + rng.normal(0, 5, 120)).tolist()) for _ in range(100)]
    assert not any(one.flat for one in found)
    assert sum(one.low <= 40 <= one.high for one in found) >= 90


def test_what_grows_by_less_than_a_hundredth_is_flat_however_sure_that_is() -> None:
    found = growth(AT, np.linspace(1000, 1005, 120).tolist())
    assert found.low > 0
    assert found.flat


def test_files_that_stay_the_same_have_no_slope() -> None:
    found = growth(AT, [321.0] * 120)
    assert (found.change, found.flat) == (0.0, True)
