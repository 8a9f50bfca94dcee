"""Sizes: what a checkpoint's own processor makes of a picture's, and which bucket stands for it.

A picture is stretched so that both sides are whole visual tokens, its area lies between two bounds, and its aspect
stays about what it was ("smart resize": Qwen2-VL, arXiv 2409.12191, 2.1; Qwen3-VL, arXiv 2511.21631). An artifact is
built for a few sizes (buckets), so that requests of one bucket batch; a picture goes to the one that fits it best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pixelis.errors import InvalidRequest, SetupError
from pixelis.json_text import read_object, reason

Size = tuple[int, int]
"""(width, height) in pixels."""

MOST_ASPECT = 200
"""Above this ratio of the sides the processors refuse a picture."""
DEFAULTS = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of OpenAI's CLIP; what a preprocessor_config.json without means has."""
_STILL_AREA = (56 * 56, 28 * 28 * 1280)


@dataclass(frozen=True)
class Geometry:
    """What a `preprocessor_config.json` says of pixels.

    Attributes:
        patch: pixels of a patch's side.
        merge: patches of a visual token's side.
        temporal: frames of one patch.
        least: pixels of the smallest picture.
        most: pixels of the largest one.
        mean: of each channel, for values in 0-1.
        std: of each channel.
    """

    patch: int
    merge: int
    temporal: int
    least: int
    most: int
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD

    @property
    def factor(self) -> int:
        """Pixels of a visual token's side."""
        return self.patch * self.merge

    def size(self, width: int, height: int) -> Size:
        """See `smart_resize`."""
        return smart_resize(width, height, self.factor, self.least, self.most)

    def grid(self, size: Size, frames: int = 1) -> tuple[int, int, int]:
        """(frames, rows, columns) in patches of `frames` pictures of `size`; the last is repeated to fill a patch."""
        width, height = size
        return -(-frames // self.temporal), height // self.patch, width // self.patch

    def tokens(self, size: Size) -> int:
        """Visual tokens of a picture of `size`."""
        return (size[0] // self.factor) * (size[1] // self.factor)

    @classmethod
    def load(cls, directory: Path, name: str = "preprocessor_config.json") -> Geometry:
        """Read `name` in `directory`, in the spelling of transformers 4 (`min_pixels`) or 5 (`size`).

        Raises:
            SetupError: it is missing or not understood.
        """
        try:
            said = read_object(directory / name)
            patch, merge, temporal = (int(said.get(key, default)) for key, default in DEFAULTS.items())
            size = said.get("size") or {}
            # as the processors read it: `size`, which `min_pixels` and `max_pixels` overrule one by one
            least = said.get("min_pixels") or size.get("shortest_edge") or _STILL_AREA[0]
            most = said.get("max_pixels") or size.get("longest_edge") or _STILL_AREA[1]
            mean, std = said.get("image_mean") or CLIP_MEAN, said.get("image_std") or CLIP_STD
            whole, shades = (patch, merge, temporal, int(least), int(most)), (*map(float, mean), *map(float, std))
            if min(whole) < 1 or max(whole) >= 2**31 or not all(map(math.isfinite, shades)):
                raise ValueError("a number that is out of bounds")
            return cls(*whole, tuple(map(float, mean)), tuple(map(float, std)))
        except (OSError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise SetupError(
                f"{name} of {directory.name} cannot be read: {type(error).__name__}: {reason(error)}.",
                mend="Take the file of the checkpoint's base model.",
            ) from error


def smart_resize(width: int, height: int, factor: int, least: int, most: int) -> Size:
    """The size to which the image processor stretches a picture.

    Args:
        width: of the picture.
        height: of the picture.
        factor: both sides become multiples of it.
        least: pixels, at least; the sides are rounded up where there are fewer.
        most: pixels, at most; rounded down where there are more.

    Raises:
        InvalidRequest: one side is more than 200 times the other.
    """
    _check_aspect(width, height)
    wide, high = round(width / factor) * factor, round(height / factor) * factor
    if wide * high > most:
        return _shrunk(width, height, factor, math.sqrt(height * width / most))
    if wide * high < least:
        return _grown(width, height, factor, math.sqrt(least / (height * width)))
    return wide, high


def smart_resize_frames(frames: int, size: Size, factor: int, least: int, most: int, temporal: int = 2) -> Size:
    """`smart_resize` for a video of Qwen3-VL, whose bounds are on the pixels of all frames together.

    Args:
        frames: of the video.
        size: of a frame.
        factor: both sides become multiples of it.
        least: pixels of all frames, at least.
        most: the same, at most.
        temporal: frames of one patch.

    Raises:
        InvalidRequest: fewer frames than a patch has, or one side is more than 200 times the other.
    """
    width, height = size
    if frames < temporal:
        raise InvalidRequest(f"A video of {frames} frames is shorter than one patch of {temporal}.")
    if height < factor or width < factor:
        scale = max(factor / height, factor / width)
        width, height = int(width * scale), int(height * scale)
    _check_aspect(width, height)
    wide, high = round(width / factor) * factor, round(height / factor) * factor
    long = round(frames / temporal) * temporal
    if long * wide * high > most:
        return _shrunk(width, height, factor, math.sqrt(frames * height * width / most))
    if long * wide * high < least:
        return _grown(width, height, factor, math.sqrt(least / (frames * height * width)))
    return wide, high


def nearest(buckets: Sequence[Size], sizes: Sequence[tuple[float, float]]) -> Size:
    """The bucket by which pictures of `sizes` are stretched least; of equals the larger one.

    Stretching is measured on both sides as a logarithm, so half and double weigh the same.

    Args:
        buckets: what an artifact was built for, at least one.
        sizes: of the pictures that are to have one size, best as `Geometry.size` gives them.
    """

    def cost(bucket: Size) -> tuple[float, int]:
        stretched = sum(math.hypot(*(math.log(b / s) for b, s in zip(bucket, size, strict=True))) for size in sizes)
        return round(stretched, 9), -bucket[0] * bucket[1]

    return min(buckets, key=cost)


def _shrunk(width: int, height: int, factor: int, by: float) -> Size:
    wide, high = math.floor(width / by / factor) * factor, math.floor(height / by / factor) * factor
    return max(factor, wide), max(factor, high)


def _grown(width: int, height: int, factor: int, by: float) -> Size:
    return math.ceil(width * by / factor) * factor, math.ceil(height * by / factor) * factor


def _check_aspect(width: int, height: int) -> None:
    ratio = max(width, height) / min(width, height)
    if ratio > MOST_ASPECT:
        raise InvalidRequest(
            f"A picture of {width}x{height} is {ratio:.0f} times as long as it is wide; at most {MOST_ASPECT} can be.",
            mend="Crop it.",
        )
