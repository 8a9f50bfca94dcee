"""The dynamics network of the curiosity reward, trained on the nano checkpoint's trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from builder.nano import dynamics
from builder.sources.base import Tensors, TorchSource
from builder.sources.task import Task
from pixelis.errors import BuildError
from pixelis.schema import Experience

if TYPE_CHECKING:
    import torch

SEEDS = Path(dynamics.__file__).parent / "seeds"
CALIBRATION = 64
"""Transitions that calibrate, at least."""


class Dynamics(TorchSource):
    """STATE FP32 `[B, 1664]`, ACTION FP32 `[B, 16]` -> NEXT_STATE FP32 `[B, 1664]`.

    Args:
        weights: the safetensors file; the one beside the nano checkpoint by default.
    """

    name = "dynamics"
    inputs = ("STATE", "ACTION")
    outputs = ("NEXT_STATE",)

    def __init__(self, weights: Path = dynamics.WEIGHTS) -> None:
        self.weights = weights

    def files(self) -> Sequence[Path]:
        """The weight files, found in their packages."""
        if not self.weights.is_file():
            raise BuildError(f"There are no dynamics weights at {self.weights.name}.", mend="Run `pixelis nano train`.")
        return [self.weights, Path(dynamics.__file__)]

    def module(self) -> torch.nn.Module:
        """The network with its pre- and post-processing, in eval mode."""
        return dynamics.load(self.weights)

    def samples(self) -> list[Tensors]:
        """Random states and actions at several batch sizes, and some that the nano has lived through."""
        return [*(self._transitions(size) for size in (1, 3, 8)), self._lived(range(1, 400, 50))]

    def calibration(self) -> list[Tensors]:
        """States that the nano began its later training episodes with; the samples and the task are earlier ones."""
        total = sum(1 for _ in (SEEDS / "experiences.jsonl").open(encoding="utf-8"))
        return [self._lived(range(total // 2, total, max(total // 2 // CALIBRATION, 1)))]

    @staticmethod
    def _lived(places: Sequence[int]) -> Tensors:
        """First states and first actions of these experiences among the seeds."""
        from builder.nano.questions import FAMILIES, ask
        from python_backends.reward.action import action_embedding

        lines = (SEEDS / "experiences.jsonl").read_text(encoding="utf-8").splitlines()
        states = np.load(SEEDS / "keys.npy", allow_pickle=False)[list(places)].astype(np.float32)
        actions = []
        for place in places:
            lived = Experience.model_validate_json(lines[place])
            _, name, seed = lived.experience_id.split("-")
            family = next(one for one in FAMILIES if one == name)
            actions.append(action_embedding(lived.trajectory[0], ask(family, "train", int(seed)).scene.size))
        return {"STATE": states, "ACTION": np.stack(actions)}

    def tasks(self) -> list[Task]:
        """Real steps, ranked by surprise."""
        from builder.tasks.curiosity import CuriosityOrder

        return [CuriosityOrder(self.reference)]

    @staticmethod
    def _transitions(size: int) -> Tensors:
        """Unit-length states and plausible actions, seeded by the batch size."""
        rng = np.random.default_rng(size)
        state = rng.normal(size=(size, dynamics.STATE))
        action = rng.random((size, dynamics.ACTION))
        action[:, :6] = np.eye(6)[rng.integers(0, 6, size)]
        unit = state / np.linalg.norm(state, axis=1, keepdims=True)
        return {"STATE": unit.astype(np.float32), "ACTION": action.astype(np.float32)}
