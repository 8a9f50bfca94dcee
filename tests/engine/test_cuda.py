"""Artifacts that compute on an NVIDIA GPU; where there is none, that they are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from builder.build_one import make
from builder.candidate import Candidate
from builder.optimization import OptimizationConfig
from pixelis.errors import SetupError
from python_backends.engine import load_engine
from python_backends.engine.torch_device import CapturedCalls, require_device
from python_backends.engine.torch_settings import TorchSettings
from tests.builder.tiny_torch import tiny_spec

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
MODES = ["default", "reduce-overhead"]


def test_an_artifact_for_a_gpu_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SetupError, match=r"reaches none here.*--device cpu"):
        require_device(TorchSettings((), (), device="cuda"))
    require_device(TorchSettings((), ()))


def test_settings_of_a_gpu_are_read_as_they_were_written(tmp_path: Path) -> None:
    settings = TorchSettings((), (), device="cuda", graphs=True)
    settings.write(tmp_path)
    assert TorchSettings.read(tmp_path) == settings


@on_gpu
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_answers_as_its_source_does_in_every_shape(mode: str, precision: str, tmp_path: Path) -> None:
    options = OptimizationConfig.model_validate({"device": "cuda", "compile_mode": mode})
    candidate = Candidate.model_validate({"format": "torchscript", "precision": precision, "optimization": options})
    made = make(tiny_spec(candidate), tmp_path / "made")  # through its gate
    assert made.gate is not None
    assert made.gate.passed
    with load_engine(tmp_path / "made", 1) as engine:
        ids = np.random.default_rng(0).integers(0, 32, (8, 9))
        whole = engine.run({"IDS": ids})["POOLED"]
        for row in range(8):
            alone = engine.run({"IDS": ids[row : row + 1]})["POOLED"]
            np.testing.assert_allclose(alone[0], whole[row], atol=1e-4 if precision == "fp32" else 2e-2)


@on_gpu
def test_a_captured_shape_that_comes_again_is_replayed_and_the_oldest_is_let_go() -> None:
    calls = 0

    def double(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return tensor * 2

    captured, rng = CapturedCalls(double, most=2), np.random.default_rng(0)
    for size in (1, 2, 1, 1, 2):
        given = rng.standard_normal((size, 3))
        np.testing.assert_array_equal(captured([given])[0], given * 2)
    once = calls // 2
    captured([np.ones((3, 3))])
    captured([np.ones((2, 3))])
    assert calls == 3 * once
    captured([np.ones((1, 3))])
    assert calls == 4 * once
