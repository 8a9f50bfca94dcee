"""How far a statistic may lie off at each of several looks, so that all looks together are wrong in `alpha` of cases.

Who looks at his data again and again, and stops as soon as a difference shows, finds one sooner or later where there is
none. Group-sequential boundaries allow for it: of `alpha` the function of O'Brien and Fleming, as Lan and DeMets write
it, spends little on early looks and most on the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Grid = NDArray[np.float64]

POINTS = 2001
"""Of the grid on which densities are integrated; errors of 1e-5 in a boundary."""


def spent(share: float, alpha: float) -> float:
    """What of `alpha` is spent at `share` (0-1) of the data, half of it a side (Lan & DeMets, Biometrika 70, 1983)."""
    return float(4 * norm.sf(norm.isf(alpha / 4) / np.sqrt(share)))


def boundaries(shares: Sequence[float], alpha: float) -> list[float]:
    """For each look the standard normal statistic beyond which, on either side, a difference is shown.

    The statistic times the root of its share is a Brownian motion at that share; its density among the paths that have
    not crossed yet is carried from look to look (Armitage, McPherson & Rowe, JRSS A 132, 1969).

    Args:
        shares: of the data at each look, rising, the last one 1.
        alpha: how often a difference may be shown where there is none.

    Raises:
        ValueError: shares that do not rise from above 0 to 1, or an alpha that is none.
    """
    if not shares or shares[0] <= 0 or any(b <= a for a, b in pairwise(shares)) or shares[-1] != 1:
        raise ValueError(f"looks at {list(shares)} of the data do not rise to all of it")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}")
    found: list[float] = []
    grid, density, gone, before = np.zeros(1), np.ones(1), 0.0, 0.0
    for share in shares:
        step = np.sqrt(share - before)
        target = spent(share, alpha) - gone
        edge = _edge(grid, density, step, target)
        found.append(edge / float(np.sqrt(share)))
        grid, density = _carried(grid, density, step, edge)
        gone, before = spent(share, alpha), share
    return found


def _edge(grid: Grid, density: Grid, step: float, target: float) -> float:
    """Where just `target` of what is left crosses, by bisection."""
    low, high = 0.0, 12.0
    for _ in range(60):
        middle = (low + high) / 2
        beyond = _integral(grid, density * (norm.sf(middle, grid, step) + norm.cdf(-middle, grid, step)))
        low, high = (middle, high) if beyond > target else (low, middle)
    return (low + high) / 2


def _carried(grid: Grid, density: Grid, step: float, edge: float) -> tuple[Grid, Grid]:
    """The density one look on, of those that have not crossed."""
    places = np.linspace(-edge, edge, POINTS)
    if grid.size == 1:
        return places, norm.pdf(places, 0, step)
    weights = density * _weights(grid)
    return places, norm.pdf((places[:, None] - grid[None, :]) / step) @ weights / step


def _integral(grid: Grid, values: Grid) -> float:
    return float(values.sum()) if grid.size == 1 else float(values @ _weights(grid))


def _weights(grid: Grid) -> Grid:
    """Of Simpson's rule."""
    weights: Grid = np.full(grid.size, 2.0)
    weights[1::2], weights[[0, -1]] = 4.0, 1.0
    return weights * float(grid[1] - grid[0]) / 3
