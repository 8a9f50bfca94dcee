"""Pixels -> the patches that a Qwen vision tower reads, value by value as the checkpoint's own processor makes them.

Serving does not need them (the artifact of `vision_encoder` takes pixels); parity tests and whoever drives a tower
directly do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from python_backends.policy.geometry import Geometry, Size

Pixels = NDArray[np.uint8]
Grid = tuple[int, int, int]


def resized(pixels: Pixels, size: Size) -> Pixels:
    """`pixels` `[H, W, 3]` at `size`, bicubic with antialiasing, as the processors resample."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC), dtype=np.uint8)


def patchified(frames: NDArray[np.float32], geometry: Geometry) -> tuple[NDArray[np.float32], Grid]:
    """Frames `[T, H, W, 3]`, normalised -> patches `[n, 3 * temporal * patch * patch]`, and their grid.

    The patches of one visual token are side by side. A still picture is one frame, which fills its patch; a video whose
    frames do not fill the last patch repeats its last one.
    """
    side, merge, depth = geometry.patch, geometry.merge, geometry.temporal
    missing = -len(frames) % depth
    filled = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)]) if missing else frames
    time, rows, columns = geometry.grid((frames.shape[2], frames.shape[1]), len(frames))
    blocks = filled.reshape(time, depth, rows // merge, merge, side, columns // merge, merge, side, 3)
    # (time, row block, column block, row in it, column in it, channel, frame, y, x)
    ordered = blocks.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return np.ascontiguousarray(ordered).reshape(time * rows * columns, -1), (time, rows, columns)


def normalised(pixels: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.float32]:
    """Pixels `[..., 3]` in 0-255 -> fp32, with the checkpoint's means and deviations."""
    scaled = pixels.astype(np.float32) * np.float32(1 / 255)
    mean, std = np.array(geometry.mean, np.float32), np.array(geometry.std, np.float32)
    normal: NDArray[np.float32] = (scaled - mean) / std
    return normal


def still_patches(pictures: Sequence[Pixels], geometry: Geometry) -> tuple[NDArray[np.float32], list[Grid]]:
    """Pictures of any sizes -> patches of all of them one after the other, and the grid of each."""
    parts, grids = [], []
    for pixels in pictures:
        size = geometry.size(pixels.shape[1], pixels.shape[0])
        patches, grid = patchified(normalised(resized(pixels, size), geometry)[None], geometry)
        parts.append(patches)
        grids.append(grid)
    return np.concatenate(parts), grids


def video_patches(frames: Pixels, size: Size, geometry: Geometry) -> tuple[NDArray[np.float32], Grid]:
    """A video's frames `[T, H, W, 3]` at `size` -> its patches and grid."""
    return patchified(normalised(np.stack([resized(frame, size) for frame in frames]), geometry), geometry)
