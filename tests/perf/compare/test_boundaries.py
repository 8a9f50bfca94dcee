"""Boundaries of several looks are the published ones, and hold in what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from perf.compare.boundaries import boundaries


def test_they_are_the_published_ones() -> None:
    # Jennison & Turnbull, Group Sequential Methods, 2000; and what gsDesign prints of sfLDOF, five looks, 2.5 % a side.
    assert boundaries([0.2, 0.4, 0.6, 0.8, 1.0], 0.05) == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=1e-3)


def test_one_look_is_the_ordinary_test() -> None:
    assert boundaries([1.0], 0.05) == pytest.approx([norm.isf(0.025)], abs=1e-6)


def test_of_paths_without_a_drift_alpha_crosses() -> None:
    shares = [0.1, 0.3, 0.55, 1.0]
    edges = np.array(boundaries(shares, 0.1))
    steps = np.sqrt(np.diff([0.0, *shares]))
    paths = np.cumsum(np.random.default_rng(0).normal(size=(200_000, 4)) * steps, axis=1) / np.sqrt(shares)
    assert float((np.abs(paths) > edges).any(axis=1).mean()) == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize("shares", [[], [0.0, 1.0], [0.5, 0.5, 1.0], [0.5], [0.5, 1.5]])
def test_looks_that_are_none(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="rise"):
        boundaries(shares, 0.05)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0])
def test_an_alpha_that_is_none(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        boundaries([1.0], alpha)
