"""What models see of an image: fixed-size views, stretched to fit. Training makes its views by the same rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Box
from python_backends.policy.patches import resized

Pixels = NDArray[np.uint8]

RETRIEVAL = (224, 224)
"""(width, height) that `embed_image` sees."""


def shown(count: int, media: Literal["images", "video"], video_frames: int) -> list[int]:
    """Which of a request's images the policy is shown: all; of a video the first, and others evenly after it.

    Args:
        count: images or frames of the request.
        media: what they are.
        video_frames: how many of a video, at most.
    """
    if media == "images" or count <= video_frames:
        return list(range(count))
    return [int(i) for i in np.linspace(0, count - 1, video_frames).round()]


def view(pixels: Pixels, size: tuple[int, int], resampling: Literal["area", "bicubic"] = "area") -> Pixels:
    """`pixels` `[H, W, 3]` stretched to `size` (width, height).

    Args:
        pixels: RGB.
        size: (width, height).
        resampling: by area where both sides shrink, else linearly; or bicubic with antialiasing, as Qwen's processors.
    """
    if resampling == "bicubic":
        return resized(pixels, size)
    width, height = size
    shrinks = pixels.shape[1] >= width and pixels.shape[0] >= height
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=mode), dtype=np.uint8)


def crop(pixels: Pixels, region: Box) -> Pixels:
    """The part of `pixels` in `region`, at least one pixel wide and high, clipped to the image."""
    height, width = pixels.shape[:2]
    x1, x2 = _span(region[0], region[2], width)
    y1, y2 = _span(region[1], region[3], height)
    return pixels[y1:y2, x1:x2]


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    start = min(max(round(low), 0), size - 1)
    return start, min(max(round(high), start + 1), size)


def retrieval_view(pictures: Sequence[Pixels]) -> Pixels:
    """`[224, 224, 3]` that stands for a request: the image's, or the mean over its images or frames."""
    first = view(pictures[0], RETRIEVAL)
    if len(pictures) == 1:
        return first
    total = first.astype(np.float32)
    for pixels in pictures[1:]:
        total += view(pixels, RETRIEVAL)
    return np.asarray(np.rint(total / len(pictures)), dtype=np.uint8)
