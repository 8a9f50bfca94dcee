"""The reward of a trajectory, from its components."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest
from pixelis.schema import Reward, RewardRequest
from python_backends.reward.coherence import coherence
from python_backends.reward.curiosity import Dynamics, curiosity_steps
from python_backends.reward.penalty import penalty
from python_backends.reward.task import task
from python_backends.reward.trajectory import visual


@dataclass(frozen=True)
class Weights:
    """What each component counts for, and the bound of the total."""

    task: float = 1.0
    curiosity: float = 0.3
    coherence: float = 0.2
    limit: float = 10.0


def compute(request: RewardRequest, dynamics: Dynamics, weights: Weights | None = None) -> Reward:
    """`clip(1.0 * task + 0.3 * curiosity + 0.2 * coherence + penalty, +-10)`.

    A dynamics network that fails costs the curiosity and nothing else: it is 0 and `reason` says why.

    Args:
        request: the trajectory, its state keys (visual steps + 1, or fewer than two where there are none to compare),
            the images' sizes, the answer and, where known, the right one.
        dynamics: (states `[n, D]`, actions `[n, 16]`) -> next states `[n, D]`.
        weights: none = the defaults.

    Raises:
        InvalidRequest: the states are not one a visual step and one more, or not of one width.
    """
    weights = weights or Weights()
    states = _states(request)
    reason = None
    steps: list[float] = []
    try:
        steps = curiosity_steps(request.actions, states, request.image_sizes, dynamics)
    except Exception as error:  # whatever the model or its transport raises becomes the reason
        reason = f"curiosity left out, dynamics failed: {error}"
    curiosity = math.fsum(steps) / len(steps) if steps else 0.0
    coherent = coherence(request.actions, states.astype(np.float64))
    punished = penalty(request.actions)
    right = task(request.answer, request.reference_answer)
    total = weights.task * (right or 0.0) + weights.curiosity * curiosity + weights.coherence * coherent + punished
    return Reward(
        total=min(max(total, -weights.limit), weights.limit),
        task=right,
        curiosity=curiosity,
        coherence=coherent,
        penalty=punished,
        curiosity_steps=steps,
        reason=reason,
    )


def _states(request: RewardRequest) -> NDArray[np.float32]:
    """`[n, D]`, checked against the trajectory."""
    count, steps = len(request.states), len(visual(request.actions))
    if count == 0:
        return np.zeros((0, 0), np.float32)
    if len({len(state) for state in request.states}) > 1 or not request.states[0]:
        raise InvalidRequest(
            "`states` are empty or of different widths.", mend="Every state key has the retrieval key's width."
        )
    if count >= 2 and count != steps + 1:
        raise InvalidRequest(
            f"`states` holds {count} keys for {steps} visual operations.",
            mend=f"Send {steps + 1}: one before the first and one after each; or none.",
        )
    states = np.asarray(request.states, np.float32)
    if not np.isfinite(states).all():
        raise InvalidRequest("`states` hold a value that is not a finite number.", mend="Send finite float32 keys.")
    return states
