"""The Qwen3-VL vision tower, its grid fixed or not, against transformers' own; and its graph against both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builder.sources.pictures import scene
from builder.sources.vision_tower_qwen3 import InterpolatedTower
from python_backends.engine import load_engine
from python_backends.policy.geometry import Geometry
from python_backends.policy.patches import still_patches, video_patches

MEAN = STD = (0.5, 0.5, 0.5)
LEVELS = 2


def _tower(seed: int = 0) -> Any:
    """A random one whose learned grid (6 x 6) no view of these tests has."""
    import torch
    from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
    from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

    torch.manual_seed(seed)
    config = Qwen3VLVisionConfig(
        depth=4,
        hidden_size=64,
        intermediate_size=96,
        num_heads=4,
        out_hidden_size=48,
        num_position_embeddings=36,
        deepstack_visual_indexes=[0, 2],
    )
    tower = Qwen3VLVisionModel(config).eval()
    with torch.no_grad():
        for weight in tower.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return tower


def _wanted(tower: Any, patches: np.ndarray, grids: list[tuple[int, int, int]]) -> np.ndarray:
    import torch

    with torch.inference_mode():
        seen = tower(torch.from_numpy(patches), grid_thw=torch.tensor(grids))
        return torch.cat([seen.pooler_output, *seen.deepstack_features], dim=-1).numpy()


@pytest.mark.parametrize("fixed", [True, False], ids=["fixed", "any size"])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (192, 192), (256, 96), (32, 160)], ids=str)
def test_tokens_and_features_equal_transformers(width: int, height: int, fixed: bool) -> None:
    import torch

    tower = _tower()
    views = np.stack([scene(width, height, seed) for seed in range(3)])
    geometry = Geometry(16, 2, 2, width * height, width * height, MEAN, STD)
    wanted = _wanted(tower, *still_patches(list(views), geometry))
    module = InterpolatedTower(tower, (width, height) if fixed else None, MEAN, STD).eval()
    with torch.inference_mode():
        got = module(torch.from_numpy(views)).numpy()
    assert got.shape == (3, width * height // 32**2, 48 * (1 + LEVELS))
    np.testing.assert_allclose(got.reshape(wanted.shape), wanted, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("fixed", [True, False], ids=["fixed", "any size"])
def test_stills_and_pairs_of_frames_equal_transformers(fixed: bool) -> None:
    import torch

    tower = _tower()
    frames = np.stack([scene(128, 96, seed) for seed in range(4)])
    geometry = Geometry(16, 2, 2, 128 * 96, 128 * 96, MEAN, STD)
    patches, grid = video_patches(frames, (128, 96), geometry)
    module = InterpolatedTower(tower, (128, 96) if fixed else None, MEAN, STD, frames=2).eval()
    for view, wanted in (
        (np.concatenate([frames[::2], frames[1::2]], axis=-1), _wanted(tower, patches, [grid])),
        (frames, _wanted(tower, *still_patches(list(frames), geometry))),
    ):
        with torch.inference_mode():
            got = module(torch.from_numpy(view)).numpy()
        np.testing.assert_allclose(got.reshape(wanted.shape), wanted, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.long
@pytest.mark.parametrize("fixed", [True, False], ids=["fixed", "any size"])
def test_it_survives_the_export(fixed: bool, tmp_path: Path) -> None:
    import torch

    from builder.formats.onnx import export_module

    size = (128, 96)
    module = InterpolatedTower(_tower(), size if fixed else None, MEAN, STD).eval()
    axes = {0: "batch"} if fixed else {0: "batch", 1: "32 height", 2: "32 width"}
    example = np.stack([scene(*size, seed) for seed in range(2)])
    export_module(module, [torch.from_numpy(example)], ("VIEW",), ("TOKENS",), {"VIEW": axes}, tmp_path / "model.onnx")
    engine = load_engine(tmp_path, threads=1)
    others = [(64, 64), (160, 32)]
    for width, height in [size] if fixed else [size, *others]:
        views = np.stack([scene(width, height, seed) for seed in range(3)])
        with torch.inference_mode():
            wanted = module(torch.from_numpy(views)).numpy()
        got = engine.run({"VIEW": views})["TOKENS"]
        np.testing.assert_allclose(got, wanted, atol=2e-5 * np.abs(wanted).max())
        np.testing.assert_allclose(engine.run({"VIEW": views[:1]})["TOKENS"], got[:1], atol=1e-5)
