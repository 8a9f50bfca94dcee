"""The policy goes on after a call that failed: it was trained on some.

More episodes, and the share that ends right: `PIXELIS_RECOVERY=100 pytest -s tests/triton/test_recovery.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from builder.nano.play import Player
from builder.nano.questions import FAMILIES, ask
from pixelis.schema import Operation, OperationResult
from pixelis.settings import Settings, settings
from python_backends.pipeline.local import LocalModels

pytestmark = pytest.mark.triton

SCENES = int(os.environ.get("PIXELIS_RECOVERY", "30"))
LEAST = 0.8


class FirstCallFails:
    """The real models; the first operation of an episode comes back as an error, as it does when its model is down."""

    def __init__(self, models: LocalModels) -> None:
        self._models = models
        self.failed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._models, name)

    def operate(self, images: Sequence[bytes], operation: Operation, deadline: float) -> OperationResult:
        """An error, then the real thing."""
        if self.failed == 0:
            self.failed += 1
            return OperationResult(
                operation=operation.operation, error="invalid_operation: `bbox` is empty: [0, 0, 0, 0]."
            )
        return self._models.operate(images, operation, deadline)


def test_a_failed_call_does_not_end_the_episode(tmp_path: Any) -> None:
    config: Settings = settings().model_copy(update={"state": tmp_path})
    right = recovered = 0
    with LocalModels(config) as models:
        failing = FirstCallFails(models)
        player = Player(config, failing)  # type: ignore[arg-type]
        for seed in range(SCENES):
            family = [f for f in FAMILIES if f != "count"][seed % 5]
            failing.failed = 0
            lived = player.play(ask(family, "held_out", 800_000 + seed))
            errors = [action for action in lived.outcome.actions if action.error]
            assert errors, lived.outcome
            recovered += any(action.operation and not action.error for action in lived.outcome.actions)
            right += lived.right
    print(f"{right} of {SCENES} episodes right, {recovered} with a call that worked")
    assert recovered / SCENES >= LEAST
    assert right / SCENES >= LEAST
