"""M-RoPE positions, against transformers' own."""

from __future__ import annotations

import numpy as np
import pytest

from pixelis.errors import InvalidRequest
from python_backends.policy.positions import Grid, Videos, mrope_positions, visual_tokens

IMAGE, VIDEO = 9, 8
MERGE = 2


def _prompt(parts: list[int | Grid]) -> tuple[np.ndarray, list[Grid]]:
    """Ids of `parts`: a number is so many text tokens, a grid is an image."""
    ids: list[int] = []
    for part in parts:
        ids += [1] * part if isinstance(part, int) else [IMAGE] * visual_tokens(part, MERGE)
    return np.array(ids, np.int64), [part for part in parts if not isinstance(part, int)]


@pytest.mark.parametrize(
    "parts",
    [
        [5],
        [3, (1, 12, 12), 7],
        [(1, 12, 12), 2],
        [2, (1, 4, 8)],
        [4, (1, 12, 12), 3, (1, 6, 2), 1, (1, 2, 16), 9],
        [2, (3, 4, 6), 5],
    ],
)
def test_equals_transformers(parts: list[int | Grid]) -> None:
    import torch
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel

    from builder.nano import model as nano

    ids, grids = _prompt(parts)
    host = Qwen2_5_VLModel.__new__(Qwen2_5_VLModel)
    torch.nn.Module.__init__(host)
    host.config = nano.config()
    wanted, delta = host.get_rope_index(
        torch.from_numpy(ids)[None],
        mm_token_type_ids=torch.from_numpy(ids == IMAGE).to(torch.int64)[None],
        image_grid_thw=torch.tensor(grids) if grids else None,
    )
    positions, following = mrope_positions(ids, grids, IMAGE, MERGE)
    np.testing.assert_array_equal(positions, wanted[:, 0].numpy())
    assert following == len(ids) + int(delta)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize("seconds", [0.5, 1.0, 2 / 3, 1.9])
def test_videos_equal_transformers(family: str, seconds: float) -> None:
    """Two videos and two images, whose order mixes."""
    import torch
    from transformers.models.qwen2_5_vl import configuration_qwen2_5_vl, modeling_qwen2_5_vl
    from transformers.models.qwen3_vl import configuration_qwen3_vl, modeling_qwen3_vl

    kind: tuple[type, type] = (modeling_qwen2_5_vl.Qwen2_5_VLModel, configuration_qwen2_5_vl.Qwen2_5_VLConfig)
    if family == "qwen3_vl":
        kind = modeling_qwen3_vl.Qwen3VLModel, configuration_qwen3_vl.Qwen3VLConfig
    images: list[Grid] = [(1, 4, 4), (1, 8, 2)]
    videos: list[Grid] = [(5, 4, 6), (2, 6, 4)]
    runs = [[6] * 5, [6, 6]] if family == "qwen3_vl" else [[30], [12]]  # a frame, or the whole video, without text
    ids = [1, 1, *[IMAGE] * 4]
    for run in runs[0]:
        ids += [1, *[VIDEO] * run]
    ids += [1, *[IMAGE] * 4]
    for run in runs[1]:
        ids += [1, *[VIDEO] * run]
    tokens = np.array([*ids, 1, 1, 1], np.int64)

    host = kind[0].__new__(kind[0])
    torch.nn.Module.__init__(host)
    host.config = kind[1]()
    extra = {"second_per_grid_ts": torch.tensor([seconds, 0.25])} if family == "qwen2_5_vl" else {}
    wanted, delta = host.get_rope_index(
        torch.from_numpy(tokens)[None],
        mm_token_type_ids=torch.from_numpy((tokens == IMAGE) + 2 * (tokens == VIDEO))[None],
        image_grid_thw=torch.tensor(images),
        video_grid_thw=torch.tensor(videos),
        **extra,
    )
    if family == "qwen3_vl":
        found = Videos.apart(VIDEO, videos)
    else:
        found = Videos.timed(VIDEO, videos, host.config.vision_config.tokens_per_second, [seconds, 0.25])
    positions, following = mrope_positions(tokens, images, IMAGE, MERGE, found)
    np.testing.assert_array_equal(positions, wanted[:, 0].numpy())
    assert following == len(tokens) + int(delta)


def test_two_images_side_by_side() -> None:
    ids, grids = _prompt([1, (1, 4, 4), (1, 2, 4), 1])
    positions, following = mrope_positions(ids, grids, IMAGE, MERGE)
    assert positions[:, -1].tolist() == [5, 5, 5]
    assert positions[1].tolist() == [0, 1, 1, 2, 2, 3, 3, 5]
    assert following == 6


@pytest.mark.parametrize(
    ("ids", "grids", "message"),
    [
        ([1, IMAGE, IMAGE, 1], [(1, 4, 4)], "2 image tokens, the grids of its 1 images make 4"),
        ([1, IMAGE], [], "1 image tokens"),
        ([IMAGE, IMAGE, 1, IMAGE, IMAGE], [(1, 4, 4)], "Text interrupts the 4 image tokens"),
        ([1], [(1, 1, 4)], "smaller than one visual token"),
        ([1], [(0, 4, 4)], "smaller than one visual token"),
    ],
)
def test_refuses_what_does_not_match(ids: list[int], grids: list[Grid], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        mrope_positions(np.array(ids, np.int64), grids, IMAGE, MERGE)
