"""Visual tokens that are their own pixels: what `vision_encoder` gives where the tower is inside vLLM.

A visual token of Qwen2.5-VL and Qwen3-VL stands for a square of `patch_size * spatial_merge_size` pixels. Here it holds
them, row by row, RGB, 0 to 255: so a picture travels through the pipeline as visual tokens do, as many of them and in
the same order, and is put together again before vLLM sees it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, SetupError
from python_backends.policy.positions import Grid

CHANNELS = 3
UNIT = "pixels.json"
"""In a version folder of `vision_encoder`: pixels of a token's side."""


def write_unit(directory: Path, unit: int) -> None:
    """Write it into `directory`."""
    (directory / UNIT).write_text(json.dumps({"unit": unit}) + "\n", encoding="utf-8")


def read_unit(directory: Path) -> int:
    """As it was written.

    Raises:
        SetupError: it is not there, or is none.
    """
    try:
        return int(json.loads((directory / UNIT).read_text(encoding="utf-8"))["unit"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        mend = "Build it with `pixelis build --policy-runtime vllm`."
        raise SetupError(f"{UNIT} of vision_encoder cannot be read: {type(error).__name__}.", mend=mend) from error


def to_tokens(views: NDArray[np.uint8], unit: int) -> NDArray[np.float32]:
    """Views `[n, H, W, 3]` as tokens `[n, H / unit * W / unit, unit * unit * 3]`.

    Args:
        views: RGB.
        unit: pixels of a token's side.

    Raises:
        InvalidRequest: the sides are not multiples of `unit`, or the views are of pairs of frames.
    """
    count, height, width, channels = views.shape
    if channels != CHANNELS:
        raise InvalidRequest(
            f"VIEW has {channels} channels: vLLM's backend takes pictures, and no pairs of frames.",
            mend='Say `"video": "frames"` in pixelis.json.',
        )
    if height % unit or width % unit:
        raise InvalidRequest(f"VIEW is {width}x{height}, and its sides must be multiples of {unit}.")
    rows, columns = height // unit, width // unit
    squares = views.reshape(count, rows, unit, columns, unit, CHANNELS).transpose(0, 1, 3, 2, 4, 5)
    return squares.reshape(count, rows * columns, unit * unit * CHANNELS).astype(np.float32)


def to_picture(tokens: NDArray[np.float32], grid: Grid, patch: int, merge: int) -> NDArray[np.uint8]:
    """The picture `[H, W, 3]` that `to_tokens` made tokens of.

    Args:
        tokens: `[n, unit * unit * 3]`.
        grid: (frames, rows, columns) in patches; one frame.
        patch: pixels of a patch's side.
        merge: patches of a token's side.

    Raises:
        InvalidRequest: numbers that are no pixels.
    """
    unit = patch * merge
    rows, columns = grid[1] // merge, grid[2] // merge
    pixels = tokens.astype(np.uint8)
    if not np.array_equal(pixels, tokens):
        raise InvalidRequest(
            "VISUAL has numbers that are no pixels.", mend="Build vision_encoder and policy together, for vLLM."
        )
    squares = pixels.reshape(rows, columns, unit, unit, CHANNELS).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(squares.reshape(rows * unit, columns * unit, CHANNELS))
