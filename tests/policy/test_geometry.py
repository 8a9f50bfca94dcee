"""Sizes and patches, value by value against transformers' own processors of both families."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelis.errors import InvalidRequest, SetupError
from python_backends.policy.geometry import Geometry, Size, nearest, smart_resize, smart_resize_frames
from python_backends.policy.patches import normalised, resized, still_patches, video_patches

QWEN2_5 = {"patch_size": 14, "min_pixels": 3136, "max_pixels": 12845056}
QWEN3: dict[str, Any] = {
    "patch_size": 16,
    "size": {"shortest_edge": 65536, "longest_edge": 16777216},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
"""What the published checkpoints' preprocessor_config.json say."""
FAMILIES = pytest.mark.parametrize("said", [QWEN2_5, QWEN3], ids=["qwen2_5_vl", "qwen3_vl"])
SIZES = [(1, 1), (28, 28), (640, 480), (333, 777), (1920, 1080), (8000, 41), (97, 4001), (6001, 5003)]


def _geometry(said: dict[str, Any], directory: Path) -> Geometry:
    (directory / "preprocessor_config.json").write_text(json.dumps(said))
    return Geometry.load(directory)


def _picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    from builder.sources.pictures import scene

    return scene(width, height, seed)


@FAMILIES
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sizes_equal_the_processors(said: dict[str, Any], size: Size, tmp_path: Path) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize as theirs

    geometry = _geometry(said, tmp_path)
    width, height = size
    wanted = theirs(height, width, geometry.factor, geometry.least, geometry.most)
    assert geometry.size(width, height) == wanted[::-1]


def test_random_sizes_equal_the_processors() -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize as image
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize as video

    rng = np.random.default_rng(3)
    for _ in range(2000):
        width, height = (int(value) for value in rng.integers(60, 4000, 2))
        factor, most = int(rng.choice([28, 32])), int(rng.integers(80_000, 4_000_000))
        least, frames = most // int(rng.integers(4, 40)), int(rng.integers(2, 40))
        assert smart_resize(width, height, factor, least, most) == image(height, width, factor, least, most)[::-1]
        mine = smart_resize_frames(frames, (width, height), factor, least, most)
        assert mine == video(frames, height, width, 2, factor, least, most)[::-1]


def test_a_strip_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"210 times.*at most 200"):
        smart_resize(2100, 10, 28, 3136, 1_000_000)
    with pytest.raises(InvalidRequest, match="shorter than one patch"):
        smart_resize_frames(1, (64, 64), 32, 3136, 1_000_000)


@FAMILIES
def test_patches_equal_the_image_processor(said: dict[str, Any], tmp_path: Path) -> None:
    """Up, down, and as they are; small ones, so that it is quick."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    limits = {"min_pixels": 64 * 64, "max_pixels": 320 * 320}
    said = {name: value for name, value in said.items() if name != "size"} | limits
    geometry = _geometry(said, tmp_path)
    pictures = [_picture(*size, seed=size[0]) for size in [(40, 30), (224, 224), (501, 333), (90, 700)]]
    theirs = Qwen2VLImageProcessorPil(**said)(images=pictures, return_tensors="np")
    patches, grids = still_patches(pictures, geometry)
    assert grids == [tuple(grid) for grid in theirs["image_grid_thw"].tolist()]
    assert sum(int(np.prod(grid)) for grid in grids) // 4 == sum(
        geometry.tokens(geometry.size(p.shape[1], p.shape[0])) for p in pictures
    )
    np.testing.assert_allclose(patches, theirs["pixel_values"], atol=1e-6, rtol=0)


@FAMILIES
@pytest.mark.parametrize("count", [1, 2, 5])
def test_patches_equal_the_video_processor(said: dict[str, Any], count: int, tmp_path: Path) -> None:
    """Qwen3-VL's patches (Qwen2.5-VL's are the same lines of code); and torch's resampling of bytes, which both use."""
    import torch
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

    geometry = _geometry(said, tmp_path)
    frames = np.stack([_picture(150, 100, seed) for seed in range(count)])
    size = (geometry.factor * 4, geometry.factor * 3)
    channels = torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()
    small = torch.nn.functional.interpolate(channels, size[::-1], mode="bicubic", antialias=True)
    mine = np.stack([resized(frame, size) for frame in frames])
    np.testing.assert_allclose(mine.astype(int), small.permute(0, 2, 3, 1).numpy().astype(int), atol=1)

    values = torch.from_numpy(normalised(mine, geometry)).permute(0, 3, 1, 2).contiguous()[None]
    wanted, *grid = Qwen3VLVideoProcessor.patchify(None, values, geometry.patch, geometry.merge, geometry.temporal)
    patches, found = video_patches(frames, size, geometry)
    assert found == tuple(grid)
    np.testing.assert_array_equal(patches, wanted[0].numpy())


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_a_whole_video_equals_the_video_processor(family: str, tmp_path: Path) -> None:
    """Where torchvision is installed, which transformers' own video processors want."""
    pytest.importorskip("torchvision", exc_type=ImportError)
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

    said: dict[str, Any] = QWEN2_5 if family == "qwen2_5_vl" else QWEN3
    said = said | {"size": {"shortest_edge": 100 * 100, "longest_edge": 200 * 200}, "do_sample_frames": False}
    said = {name: value for name, value in said.items() if not name.endswith("_pixels")}
    geometry = _geometry(said, tmp_path)
    frames = np.stack([_picture(150, 100, seed) for seed in range(5)])
    if family == "qwen2_5_vl":
        theirs, size = Qwen2VLVideoProcessor(**said), geometry.size(150, 100)
    else:
        bounds = geometry.factor, geometry.least, geometry.most
        theirs, size = Qwen3VLVideoProcessor(**said), smart_resize_frames(5, (150, 100), *bounds)
    wanted = theirs(videos=[frames], return_tensors="np")
    patches, grid = video_patches(frames, size, geometry)
    assert [grid] == [tuple(grid) for grid in wanted["video_grid_thw"].tolist()]
    # one step of a byte, where the two resamplings round to either side
    np.testing.assert_allclose(patches, wanted["pixel_values_videos"], atol=1.01 / 255 / min(geometry.std))


def test_both_spellings_of_the_bounds(tmp_path: Path) -> None:
    old = _geometry({"min_pixels": 1000, "max_pixels": 2000}, tmp_path)
    new = _geometry({"size": {"shortest_edge": 1000, "longest_edge": 2000}}, tmp_path)
    assert (old.least, old.most) == (new.least, new.most) == (1000, 2000)
    assert old.factor == 28
    with pytest.raises(SetupError, match="cannot be read"):
        Geometry.load(tmp_path, "none.json")
    (tmp_path / "preprocessor_config.json").write_text('{"patch_size": "wide"}')
    with pytest.raises(SetupError, match="cannot be read"):
        Geometry.load(tmp_path)


def test_a_picture_goes_to_the_bucket_that_stretches_it_least() -> None:
    buckets = [(448, 448), (672, 336), (336, 672), (896, 896)]
    assert nearest(buckets, [(448, 476)]) == (448, 448)
    assert nearest(buckets, [(900, 450)]) == (672, 336)
    assert nearest(buckets, [(300, 900)]) == (336, 672)
    assert nearest(buckets, [(4000, 4000)]) == (896, 896)
    assert nearest(buckets, [(28, 28)]) == (448, 448)
    assert nearest(buckets, [(448, 448), (900, 900), (880, 900)]) == (896, 896)
    assert nearest([(100, 100), (400, 400)], [(200, 200)]) == (400, 400), "of equals the larger"
