"""Waiting before one server, exactly for given arrivals and service times; and the formula for Poisson arrivals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]


def waits(arrivals: Times, services: Times) -> Times:
    """How long each waits, first come, first served: Lindley's recursion (Proc. Cambridge Phil. Soc. 48, 1952).

    Args:
        arrivals: ascending.
        services: of each.
    """
    steps = np.concatenate([[0.0], services[:-1] - np.diff(arrivals)])
    walk = np.cumsum(steps)
    found: Times = walk - np.minimum.accumulate(walk)
    return found


def poisson(rate: float, count: int, rng: np.random.Generator) -> Times:
    """Arrivals, `rate` a second."""
    return np.cumsum(rng.exponential(1 / rate, count))


def mean_wait(rate: float, services: Times) -> float:
    """Of Poisson arrivals before one server (Pollaczek and Khinchine); infinite where it cannot keep up."""
    load = rate * float(services.mean())
    return np.inf if load >= 1 else rate * float((services**2).mean()) / (2 * (1 - load))
