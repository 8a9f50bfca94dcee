"""Trajectories of ten operations, as episodes leave them."""

from __future__ import annotations

import numpy as np

from pixelis.schema import Action, OperationName, RewardRequest
from python_backends.experience.key import WIDTH

STEPS, SHARED = 10, 5
SIDE, CROP = 336, 64
PICTURE = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)


def actions(number: int) -> list[Action]:
    """Ten ZOOM_INs and an answer; two numbers that differ in their last digit only have the first five in common."""
    common, own = np.random.default_rng(number // 10), np.random.default_rng([number, 1])
    return [*(_zoom(common if i < SHARED else own) for i in range(STEPS)), Action(type="ANSWER", text="red")]


def question(number: int) -> str:
    """The same for trajectories that begin alike."""
    return f"What colour is the square of the sign {number // 10}?"


def rewarded(number: int) -> RewardRequest:
    """A trajectory with states of its own."""
    rng = np.random.default_rng(number)
    states = rng.standard_normal((STEPS + 1, WIDTH))
    keys = (states / np.linalg.norm(states, axis=1, keepdims=True)).astype(np.float32)
    return RewardRequest(actions=actions(number), states=keys.tolist(), image_sizes=[(SIDE, SIDE)], answer="red")


def _zoom(rng: np.random.Generator) -> Action:
    left, top = (int(corner) for corner in rng.integers(0, SIDE - CROP, 2))
    region = [left, top, left + CROP, top + CROP]
    return Action(
        type="VISUAL_OPERATION",
        operation=OperationName.ZOOM_IN,
        arguments={"region": region},
        result={"region": region, "size": [CROP, CROP]},
    )
