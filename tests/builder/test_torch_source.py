"""A PyTorch module from end to end: exported, optimised, judged in the engine that serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from builder.build_one import make
from builder.model_spec import ModelSpec, TensorSpec
from builder.sources.base import Tensors, TorchSource
from python_backends.engine import load_engine

if TYPE_CHECKING:
    import torch


class TorchLinear(TorchSource):
    """X FP32 `[B, 6]` -> Y FP32 `[B, 4]`."""

    name = "torch_linear"
    inputs = ("X",)
    outputs = ("Y",)

    def files(self) -> Sequence[Path]:
        return []

    def module(self) -> torch.nn.Module:
        import torch

        torch.manual_seed(0)
        return torch.nn.Linear(6, 4).eval()

    def samples(self) -> list[Tensors]:
        rng = np.random.default_rng(0)
        return [{"X": rng.normal(size=(batch, 6)).astype(np.float32)} for batch in (1, 3)]


def test_a_torch_module_becomes_a_judged_artifact(tmp_path: Path) -> None:
    spec = ModelSpec(
        name="torch_linear",
        kind="engine",
        source=f"{__name__}:TorchLinear",
        max_batch_size=8,
        inputs=(TensorSpec(name="X", dtype="FP32", dims=(6,)),),
        outputs=(TensorSpec(name="Y", dtype="FP32", dims=(4,)),),
    )
    stages: list[str] = []
    manifest = make(spec, tmp_path / "out", stages.append)
    assert stages == ["export", "optimise", "gate"]
    assert manifest.gate.passed
    assert manifest.parameters == 6 * 4 + 4
    assert manifest.inputs[0].dims == [-1, 6]
    engine = load_engine(tmp_path / "out", threads=1)
    assert engine.run({"X": np.zeros((5, 6), np.float32)})["Y"].shape == (5, 4)
