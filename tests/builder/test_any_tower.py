"""The Qwen2.5-VL tower for any size: against the one whose grid is fixed, which equals transformers'; and its graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from builder.sources.pictures import scene
from builder.sources.vision_tower import FixedGridTower
from builder.sources.vision_tower_any import AnyGridTower
from python_backends.engine import load_engine
from tests.builder.test_qwen_sources import _tower

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
SIZES = [(112, 112), (168, 168), (224, 224), (280, 140), (56, 196), (28, 28), (336, 252)]


@pytest.mark.parametrize(("width", "height"), SIZES, ids=str)
def test_equals_the_fixed_grid(width: int, height: int) -> None:
    import torch

    tower = _tower(full=[1])
    views = torch.from_numpy(np.stack([scene(width, height, seed) for seed in range(3)]))
    with torch.inference_mode():
        wanted = FixedGridTower(tower, width, height, MEAN, STD).eval()(views)
        got = AnyGridTower(tower, MEAN, STD).eval()(views)
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=0)


def test_it_survives_the_export(tmp_path: Path) -> None:
    import torch

    from builder.formats.onnx import export_module

    module = AnyGridTower(_tower(full=[1]), MEAN, STD).eval()
    axes = {0: "batch", 1: "28 height", 2: "28 width"}
    example = np.stack([scene(196, 140, seed) for seed in range(2)])
    export_module(module, [torch.from_numpy(example)], ("VIEW",), ("TOKENS",), {"VIEW": axes}, tmp_path / "model.onnx")
    engine = load_engine(tmp_path, threads=1)
    for width, height in SIZES:
        views = np.stack([scene(width, height, seed) for seed in range(3)])
        with torch.inference_mode():
            wanted = module(torch.from_numpy(views)).numpy()
        got = engine.run({"VIEW": views})["TOKENS"]
        np.testing.assert_allclose(got, wanted, atol=2e-5 * np.abs(wanted).max())
        np.testing.assert_allclose(engine.run({"VIEW": views[:1]})["TOKENS"], got[:1], atol=1e-5)
