"""Frames, times and prompts of videos, against transformers' own processors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pixelis.errors import InvalidRequest
from python_backends.policy.video import (
    Sampling,
    frames_by_ends,
    frames_by_step,
    seconds_per_patch,
    timed_prompt,
    timestamps,
)

VIDEOS = [(total, fps) for total in (2, 3, 4, 7, 25, 30, 64, 301, 1999) for fps in (1.0, 8.0, 24.0, 29.97, 60.0)]


def _limits(wanted: float) -> SimpleNamespace:
    return SimpleNamespace(num_frames=None, fps=wanted, temporal_patch_size=2, min_frames=4, max_frames=40)


@pytest.mark.parametrize(("total", "fps"), VIDEOS)
@pytest.mark.parametrize("wanted", [0.5, 2.0, 3.7])
def test_frames_equal_qwen3s_processor(total: int, fps: float, wanted: float) -> None:
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

    metadata = SimpleNamespace(total_num_frames=total, fps=fps)
    theirs = Qwen3VLVideoProcessor.sample_frames(_limits(wanted), metadata, fps=wanted)
    assert frames_by_ends(total, fps, Sampling(fps=wanted, most=40)) == theirs.tolist()


@pytest.mark.parametrize(("total", "fps"), VIDEOS)
@pytest.mark.parametrize("wanted", [0.5, 2.0, 3.7])
def test_frames_equal_qwen2s_processor(total: int, fps: float, wanted: float) -> None:
    """Where torchvision is installed, without which transformers does not load that module."""
    pytest.importorskip("torchvision", exc_type=ImportError)
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    metadata = SimpleNamespace(total_num_frames=total, fps=fps)
    theirs = Qwen2VLVideoProcessor.sample_frames(_limits(wanted), metadata, fps=wanted)
    assert frames_by_step(total, fps, Sampling(fps=wanted, most=40)) == theirs.tolist()


def test_frames_by_step_are_those_of_torchs_range() -> None:
    """How transformers writes them, over many lengths: their last one depends on rounding."""
    import torch

    for total in range(2, 1500, 7):
        for fps in (6.0, 29.97):
            frames = frames_by_step(total, fps, Sampling())
            count = int(min(max(total / fps * 2, 4), total // 2 * 2)) // 2 * 2
            assert frames == torch.arange(0, total, total / count).int().tolist()


@pytest.mark.parametrize("frames", [[0], [0, 12], [0, 5, 11], [3, 9, 14, 31]])
def test_times_and_prompt_equal_qwen3s_processor(frames: list[int]) -> None:
    from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

    host = SimpleNamespace(
        video_processor=SimpleNamespace(merge_size=2, temporal_patch_size=2),
        vision_start_token="<|vision_start|>",
        vision_end_token="<|vision_end|>",
        video_token="<|video_pad|>",
        _calculate_timestamps=lambda *given: Qwen3VLProcessor._calculate_timestamps(None, *given),
    )
    seconds = timestamps(frames, 29.97)
    inputs = {
        "video_grid_thw": np.array([[len(seconds), 4, 6]]),
        "video_metadata": [SimpleNamespace(fps=29.97, frames_indices=list(frames))],
    }
    assert timed_prompt(seconds, 6) == Qwen3VLProcessor.replace_video_token(host, inputs, 0)


def test_words_of_a_prompt() -> None:
    text = timed_prompt(timestamps([0, 24, 48], 24.0), 1)
    patch = "<|vision_start|><|video_pad|><|vision_end|>"
    assert text == f"<0.5 seconds>{patch}<2.0 seconds>{patch}"
    assert seconds_per_patch(4.0) == 0.5


def test_a_single_frame_is_no_video_by_steps() -> None:
    with pytest.raises(InvalidRequest, match="shorter than one patch"):
        frames_by_step(1, 24.0, Sampling())
