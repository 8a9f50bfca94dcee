"""How much the world surprised the dynamics network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Action
from python_backends.reward.action import action_embedding, image_index
from python_backends.reward.trajectory import visual

Dynamics = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""f: (states `[n, D]`, actions `[n, 16]`) -> next states `[n, D]`."""

ETA = 0.5


def curiosity_steps(
    actions: Sequence[Action],
    states: NDArray[np.float32],
    sizes: Sequence[tuple[int, int]],
    dynamics: Dynamics,
) -> list[float]:
    """Per visual step, `0.5 * mean((f(s, a) - s')^2)`; one call of `dynamics` for the whole trajectory.

    Args:
        actions: the trajectory; its visual operations are the steps.
        states: `[steps + 1, D]` state keys before and after each step.
        sizes: (width, height) of the request's images.
        dynamics: the network.

    Returns:
        One value a step; none with fewer than two states.

    Raises:
        ValueError: the network returned another shape than it was given, or a value that is not a number.
    """
    if len(states) < 2:
        return []
    embeddings = np.stack([action_embedding(a, _size(a, sizes)) for a in visual(actions)])
    predicted = np.asarray(dynamics(states[:-1], embeddings))
    if predicted.shape != states[1:].shape:
        raise ValueError(f"dynamics returned shape {predicted.shape} for states of {states[1:].shape}")
    if not np.isfinite(predicted).all():
        raise ValueError("dynamics returned a value that is not a number")
    errors = predicted.astype(np.float64) - states[1:]
    return [float(step) for step in ETA * np.mean(errors**2, axis=1)]


def _size(action: Action, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    index = image_index(action)
    return sizes[index] if index < len(sizes) else (1, 1)
