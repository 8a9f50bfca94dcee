"""The reward of a trajectory, from its components."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest
from pixelis.schema import Reward, RewardRequest
from python_backends.caching.cache import Cache
from python_backends.caching.origin import Origin
from python_backends.reward.curiosity import ETA, Dynamics, Floats, Measure, Step, measured, remembered
from python_backends.reward.steps import Curious, RewardState
from python_backends.reward.task import task
from python_backends.reward.trajectory import visual


@dataclass(frozen=True)
class Weights:
    """What each component counts for, and the bound of the total."""

    task: float = 1.0
    curiosity: float = 0.3
    coherence: float = 0.2
    limit: float = 10.0


def compute(
    request: RewardRequest,
    dynamics: Dynamics,
    weights: Weights | None = None,
    cache: Cache[Step] | None = None,
    origin: Origin | None = None,
) -> Reward:
    """`clip(1.0 * task + 0.3 * curiosity + 0.2 * coherence + penalty, +-10)`.

    A dynamics network that fails costs the curiosity and nothing else: it is 0 and `reason` says why.

    Args:
        request: the trajectory, its state keys (visual steps + 1, or fewer than two where there are none to compare),
            the images' sizes, the answer and, where known, the right one.
        dynamics: (states `[n, D]`, actions `[n, 16]`) -> next states `[n, D]`.
        weights: none = the defaults.
        cache: steps that were seen before, so that a trajectory that goes on from one that was rewarded asks the
            network about its new steps only.
        origin: the version of the network that `dynamics` calls; none = not known, and nothing is cached.

    Raises:
        InvalidRequest: the states are not one a visual step and one more, or not of one width.
    """
    weights = weights or Weights()
    states = _states(request)
    measure: Measure = measured
    if cache is not None and origin is not None:
        measure = remembered(cache, origin, {"eta": ETA, **asdict(weights)})
    reason = None
    try:
        state = _walk(request, states, lambda before, actions, after: measure(before, actions, after, dynamics))
    except Exception as error:  # whatever the model or its transport raises becomes the reason
        reason = f"curiosity left out, dynamics failed: {error}"
        state = _walk(request, states, None)
    right = task(request.answer, request.reference_answer)
    parts = weights.curiosity * state.curiosity + weights.coherence * state.coherence + state.penalty
    total = weights.task * (right or 0.0) + parts
    return Reward(
        total=min(max(total, -weights.limit), weights.limit),
        task=right,
        curiosity=state.curiosity,
        coherence=state.coherence,
        penalty=state.penalty,
        curiosity_steps=state.curiosity_steps,
        steps=list(state.steps),
        reason=reason,
    )


def _walk(request: RewardRequest, states: Floats, curious: Curious | None) -> RewardState:
    """The whole trajectory; without `curious` its steps have no curiosity."""
    first = RewardState(state=states[0] if len(states) > 1 else None)
    return first.extend(request.actions, states[1:], request.image_sizes, curious)


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
