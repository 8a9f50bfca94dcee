"""A video in pairs of frames: prompt, views and positions of a whole request, against transformers' own."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pixelis.schema import Options
from pixelis.settings import Limits
from python_backends.images import DecodedImages
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.prepare import Prepared, Preparer
from python_backends.pipeline.showing import Showing
from python_backends.policy.positions import mrope_positions
from python_backends.policy.profile import Profile
from tests.pipeline.conftest import png
from tests.pipeline.scripted import ScriptedModels, call
from tests.pipeline.test_reason import run

TOKENS = 36
START, PAD, END = "<|vision_start|>", "<|image_pad|>", "<|vision_end|>"
MOST = 6


class Pairs(ScriptedModels):
    """Whose encoder takes pairs as well."""

    def __init__(self, voice: Voice, turns: list[str]) -> None:
        super().__init__(voice, turns)
        self.views: list[np.ndarray] = []

    def vision_tokens(self, views: Any, deadline: float) -> Any:
        self.views.append(views)
        return super().vision_tokens(views[..., :3], deadline)


def asked(voice: Voice, times: str, count: int, **options: Any) -> tuple[Voice, Prepared]:
    """A voice that reads `MOST` frames in pairs, and a request with a video of `count`."""
    changes = {"video": "pairs", "video_frames": MOST, "times": times}
    reading = replace(voice, profile=voice.profile.model_copy(update=changes))
    frames = [png(336, 168, seed=i) for i in range(count)]
    given = json.dumps({"media": "video", **options}).encode()
    return reading, Preparer(reading.profile, Limits(), DecodedImages())(frames, b"Where?", given)


def _theirs(times: str, read: list[int], fps: float) -> str:
    """A video as the family's processor writes it; what stands for a token of it is here the image's."""
    from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

    patches = -(-len(read) // 2)
    if times == "positions":
        return f"{START}{PAD * patches * TOKENS}{END}"
    host = SimpleNamespace(
        video_processor=SimpleNamespace(merge_size=2, temporal_patch_size=2),
        vision_start_token=START,
        vision_end_token=END,
        video_token=PAD,
        _calculate_timestamps=lambda *given: Qwen3VLProcessor._calculate_timestamps(None, *given),
    )
    metadata = SimpleNamespace(fps=fps, frames_indices=list(read))
    inputs = {"video_grid_thw": np.array([[patches, 12, 12]]), "video_metadata": [metadata]}
    return str(Qwen3VLProcessor.replace_video_token(host, inputs, 0))


def _positions(times: str, is_visual: np.ndarray, patches: int, seconds: float) -> np.ndarray:
    """transformers' positions of a prompt whose visual tokens are all of one video."""
    import torch
    from transformers.models.qwen2_5_vl import configuration_qwen2_5_vl, modeling_qwen2_5_vl
    from transformers.models.qwen3_vl import configuration_qwen3_vl, modeling_qwen3_vl

    kind: tuple[type, type] = (modeling_qwen2_5_vl.Qwen2_5_VLModel, configuration_qwen2_5_vl.Qwen2_5_VLConfig)
    if times == "text":
        kind = modeling_qwen3_vl.Qwen3VLModel, configuration_qwen3_vl.Qwen3VLConfig
    host = kind[0].__new__(kind[0])
    torch.nn.Module.__init__(host)
    host.config = kind[1]()
    extra = {"second_per_grid_ts": torch.tensor([seconds])} if times == "positions" else {}
    wanted, _ = host.get_rope_index(
        torch.zeros(1, len(is_visual), dtype=torch.int64),
        mm_token_type_ids=torch.from_numpy(2 * is_visual.astype(np.int64))[None],
        video_grid_thw=torch.tensor([[patches, 12, 12]]),
        **extra,
    )
    found: np.ndarray = wanted[:, 0].numpy()
    return found


@pytest.mark.parametrize(
    ("times", "count", "fps", "read"),
    [
        ("positions", 2, 2.0, [0, 1]),
        ("positions", 7, 2.0, [0, 1, 2, 3, 4, 5]),
        ("positions", 24, 8.0, [0, 4, 8, 12, 16, 20]),
        ("positions", 5, 1.0, [0, 1, 2, 3]),
        ("text", 2, 2.0, [0, 1]),
        ("text", 5, 3.0, [0, 1, 3, 4]),
        ("text", 5, 1.0, [0, 1, 2, 3, 4]),
        ("text", 24, 8.0, [0, 5, 9, 14, 18, 23]),
    ],
)
def test_a_request_is_what_transformers_makes_of_it(
    voice: Voice, times: str, count: int, fps: float, read: list[int]
) -> None:
    reading, prepared = asked(voice, times, count, fps=fps)
    models = Pairs(reading, ["left"])
    run(models, prepared)
    patches = -(-len(read) // 2)

    (views,) = models.views
    assert views.shape == (patches, 168, 168, 6)
    filled = [*read, *read[-1:] * (len(read) % 2)]
    every = Preparer(reading.profile, Limits(), DecodedImages())(prepared.images, b"?", None).views
    assert np.array_equal(views[..., :3], every[filled[::2]])
    assert np.array_equal(views[..., 3:], every[filled[1::2]])

    text = f"<|im_start|>user\n{_theirs(times, read, fps)}Where?<|im_end|>\n<|im_start|>assistant\n"
    ids = reading.tokenizer.encode(text, [1] * patches * TOKENS)
    assert models.prompts == [ids.tolist()]

    seconds = 2 / (len(read) / count * fps)
    sampling, grids = models.asked_sampling[0], np.array(models.grids[0]).reshape(-1, 3).tolist()
    assert grids == ([[1, 12, 12]] * patches if times == "text" else [[patches, 12, 12]])
    assert sampling.patch_seconds == (None if times == "text" else pytest.approx(seconds))
    image = int(reading.tokenizer.encode(PAD, [1])[0])
    step = 1.0 if sampling.patch_seconds is None else 4 * sampling.patch_seconds
    got, _ = mrope_positions(ids, [tuple(grid) for grid in grids], image, 2, step=step)
    np.testing.assert_array_equal(got, _positions(times, ids == image, patches, seconds))


@pytest.mark.parametrize(("times", "number", "frame"), [("text", 2, 4), ("positions", 1, 0)])
def test_images_of_the_conversation_are_the_first_frames_of_what_they_show(
    voice: Voice, times: str, number: int, frame: int
) -> None:
    reading, prepared = asked(voice, times, 12, fps=4.0)
    turns = [call("TRACK_OBJECT", init_bbox=[10, 20, 60, 90], target_image=number), call("READ_TEXT"), "?"]
    models = Pairs(reading, turns)
    _, outcome = run(models, prepared)
    track = outcome.actions[0]
    assert track.error is None
    assert track.arguments.get("image_index", 0) == frame
    assert (len(track.result["boxes"]), track.result["fps"]) == (12, 4.0)


def test_crops_and_pictures_are_stills(voice: Voice) -> None:
    reading, prepared = asked(voice, "positions", 4, fps=2.0)
    models = Pairs(reading, [call("ZOOM_IN", region=[0, 0, 84, 84]), "?"])
    run(models, prepared)
    assert [views.shape for views in models.views] == [(2, 168, 168, 6), (1, 168, 168, 3)]
    assert models.grids[-1] == [2, 12, 12, 1, 12, 12]
    assert [sampling.patch_seconds for sampling in models.asked_sampling] == [1.0, 1.0]
    pictures = Preparer(reading.profile, Limits(), DecodedImages())(prepared.images, b"?", None)
    models = Pairs(reading, ["?"])
    run(models, pictures)
    assert [views.shape for views in models.views] == [(4, 168, 168, 3)]


def test_without_a_rate_frames_are_as_far_apart_as_the_checkpoint_reads_them(voice: Voice) -> None:
    reading, prepared = asked(voice, "text", 4)
    assert prepared.request.options.fps == reading.profile.video_fps == 2.0
    assert Showing.of(4, prepared.request.options, reading.profile).times == (0.25, 1.25)
    plain = Preparer(voice.profile, Limits(), DecodedImages())(prepared.images, b"?", b'{"media": "video"}')
    assert plain.request.options.fps == 1.0


@pytest.mark.parametrize("times", ["positions", "text"])
def test_a_video_of_one_frame_is_one_patch(times: Any) -> None:
    showing = Showing.of(1, Options(media="video"), Profile(video="pairs", times=times))
    assert (showing.indexes, [frame.patches for frame in showing.frames([(9, 9)], (168, 168))]) == ([0, 0], [1])
    assert showing.seen(np.zeros((2, 168, 168, 3), np.uint8)).shape == (1, 168, 168, 6)
