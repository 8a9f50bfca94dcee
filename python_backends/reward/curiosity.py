"""How much the world surprised the dynamics network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from python_backends.reward.cache import StepCache, step_key

Floats = NDArray[np.float32]
Dynamics = Callable[[Floats, Floats], Floats]
"""f: (states `[n, D]`, actions `[n, 16]`) -> next states `[n, D]`."""
Measure = Callable[[Floats, Floats, Floats, Dynamics], list[float]]
"""(states before, action embeddings, states after, network) -> curiosity of each step."""

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


def remembered(cache: StepCache, version: str) -> Measure:
    """`surprise` that asks the network only about steps that `cache` does not hold.

    Args:
        cache: of this process.
        version: everything beside the step that its value depends on: the network's version, the weights.
    """

    def measure(before: Floats, actions: Floats, after: Floats, dynamics: Dynamics) -> list[float]:
        keys = [step_key(version, *step) for step in zip(before, actions, after, strict=True)]
        values = [cache.get(key) for key in keys]
        new = [i for i, value in enumerate(values) if value is None]
        if new:
            found = surprise(before[new], actions[new], after[new], dynamics)
            for i, value in zip(new, found, strict=True):
                values[i] = value
                cache.put(keys[i], value)
        return [value for value in values if value is not None]

    return measure
