"""Which frames of a video are read, and how a prompt says when they were: per family of checkpoints.

Qwen2.5-VL (arXiv 2502.13923, 2.1.2) spreads the frames' temporal positions by seconds; Qwen3-VL (arXiv 2511.21631)
writes the time before each temporal patch as text, and every such patch is an image of its own to the positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pixelis.errors import InvalidRequest

START, PAD, END = "<|vision_start|>", "<|video_pad|>", "<|vision_end|>"


@dataclass(frozen=True)
class Sampling:
    """How densely a video is read.

    Attributes:
        fps: frames a second that are wanted.
        least: frames, at least, where the video has them.
        most: frames, at most.
        temporal: frames of one patch.
    """

    fps: float = 2.0
    least: int = 4
    most: int = 768
    temporal: int = 2


def frames_by_step(total: int, fps: float, sampling: Sampling) -> list[int]:
    """Frames that Qwen2.5-VL reads of `total` at `fps`: whole patches of them, a constant step apart.

    Raises:
        InvalidRequest: the video does not fill one patch.
    """
    depth = sampling.temporal
    most = math.floor(min(sampling.most, total) / depth) * depth
    count = min(max(total / fps * sampling.fps, sampling.least), most, total)
    count = math.floor(count / depth) * depth
    if not count:
        raise InvalidRequest(f"A video of {total} frames is shorter than one patch of {depth}.")
    step = total / count
    # torch.arange in the processor: as many as fit below `total`, in single precision before they are cut off
    return [int(i) for i in (np.arange(math.ceil(total / step)) * step).astype(np.float32)]


def frames_by_ends(total: int, fps: float, sampling: Sampling) -> list[int]:
    """Frames that Qwen3-VL reads of `total` at `fps`: evenly from the first to the last one."""
    count = min(max(int(total / fps * sampling.fps), sampling.least), sampling.most, total)
    return [int(i) for i in np.linspace(0, total - 1, count).round()]


def timestamps(frames: Sequence[int], fps: float, temporal: int = 2) -> list[float]:
    """Seconds of each temporal patch of Qwen3-VL: the middle between its first and its last frame."""
    filled = [*frames, *[frames[-1]] * (-len(frames) % temporal)]
    seconds = [frame / fps for frame in filled]
    return [(seconds[i] + seconds[i + temporal - 1]) / 2 for i in range(0, len(seconds), temporal)]


def timed_prompt(seconds: Sequence[float], tokens: int, pad: str = PAD) -> str:
    """What stands for a video in a prompt of Qwen3-VL.

    Args:
        seconds: of each temporal patch.
        tokens: visual tokens of one temporal patch.
        pad: what stands for a visual token.
    """
    return "".join(f"<{at:.1f} seconds>{START}{pad * tokens}{END}" for at in seconds)


def seconds_per_patch(fps: float, temporal: int = 2) -> float:
    """Seconds between temporal patches of a video that is read at `fps` (Qwen2.5-VL's `second_per_grid_ts`)."""
    return temporal / fps
