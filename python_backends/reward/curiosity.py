"""How much the world surprised the dynamics network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from python_backends.caching.cache import Cache
from python_backends.caching.keys import reward_key
from python_backends.caching.origin import Origin
from python_backends.reward.coherence import cosine

Floats = NDArray[np.float32]
Dynamics = Callable[[Floats, Floats], Floats]
"""f: (states `[n, D]`, actions `[n, 16]`) -> next states `[n, D]`."""
Step = tuple[float, ...]
"""Curiosity of a step, and the cosine of the states before and after it."""
Measure = Callable[[Floats, Floats, Floats, Dynamics], list[Step]]
"""(states before, action embeddings, states after, network) -> what each step is worth."""

ETA = 0.5


def surprise(before: Floats, actions: Floats, after: Floats, dynamics: Dynamics) -> list[float]:
    """Per step, `0.5 * mean((f(s, a) - s')^2)`; one call of `dynamics` for all steps.

    Args:
        before: state keys `[n, D]`.
        actions: their embeddings `[n, 16]`.
        after: state keys `[n, D]`.
        dynamics: the network.

    Raises:
        ValueError: the network returned another shape than it was given, or a value that is not a number.
    """
    predicted = np.asarray(dynamics(before, actions))
    if predicted.shape != after.shape:
        raise ValueError(f"dynamics returned shape {predicted.shape} for states of {after.shape}")
    if not np.isfinite(predicted).all():
        raise ValueError("dynamics returned a value that is not a number")
    errors = predicted.astype(np.float64) - after
    return [float(ETA * np.mean(row**2)) for row in errors]


def measured(before: Floats, actions: Floats, after: Floats, dynamics: Dynamics) -> list[Step]:
    """`surprise` and similarity of each step; raises as `surprise` does."""
    alike = [cosine(a, b) for a, b in zip(before, after, strict=True)]
    return list(zip(surprise(before, actions, after, dynamics), alike, strict=True))


def remembered(cache: Cache[Step], origin: Origin, weights: Any) -> Measure:
    """`measured` that asks the network only about steps that `cache` does not hold, in one call.

    Args:
        cache: of steps.
        origin: the network's version.
        weights: whatever else a value depends on, as plain data.
    """

    def measure(before: Floats, actions: Floats, after: Floats, dynamics: Dynamics) -> list[Step]:
        keys = [reward_key(origin, *step, weights) for step in zip(before, actions, after, strict=True)]

        def missing(places: Sequence[int]) -> list[Step]:
            new = list(places)
            return measured(before[new], actions[new], after[new], dynamics)

        return cache.get_many(keys, missing)

    return measure
