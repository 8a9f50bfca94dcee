"""M-RoPE positions: three numbers a token (time, row, column), equal for text.

Qwen2-VL, arXiv 2409.12191, section 2.1. A visual token takes its place in the image's grid; the text after an image
goes on from the larger side of that grid, so a position can be smaller than the token's index.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest

Grid = tuple[int, int, int]
"""Patches of an image: (frames, rows, columns), before merging."""


def visual_tokens(grid: Grid, merge: int) -> int:
    """Number of visual tokens of an image, for `merge` x `merge` patches a token."""
    frames, rows, columns = grid
    return frames * (rows // merge) * (columns // merge)


def mrope_positions(
    ids: NDArray[np.int64], grids: Sequence[Grid], image_token: int, merge: int
) -> tuple[NDArray[np.int64], int]:
    """Positions of a prompt, and the position of the token that follows it.

    Args:
        ids: token ids `[S]`; the image token is repeated once a visual token.
        grids: patch grid of each image, in order.
        image_token: id that stands for a visual token.
        merge: patches a visual token covers along one side.

    Returns:
        positions `[3, S]`, and the next position (the same on the three axes).

    Raises:
        InvalidRequest: the image tokens in `ids` do not match the grids.
    """
    positions = np.empty((3, len(ids)), np.int64)
    is_image = ids == image_token
    image_at = np.flatnonzero(is_image)
    _check_count(len(image_at), grids, merge)
    at = start = taken = 0
    for grid in grids:
        first, count = int(image_at[taken]), visual_tokens(grid, merge)
        if not is_image[first : first + count].all() or len(is_image) < first + count:
            raise InvalidRequest(f"Text interrupts the {count} image tokens that begin at {first}.")
        text = first - at
        positions[:, at:first] = np.arange(start, start + text)
        start += text
        positions[:, first : first + count] = _grid_positions(grid, merge) + start
        start += max(grid[1], grid[2]) // merge
        at, taken = first + count, taken + count
    rest = len(ids) - at
    positions[:, at:] = np.arange(start, start + rest)
    return positions, int(positions.max()) + 1 if len(ids) else 0


def _grid_positions(grid: Grid, merge: int) -> NDArray[np.int64]:
    """(time, row, column) of each visual token of an image `[3, n]`, row by row."""
    frames, rows, columns = grid
    return np.indices((frames, rows // merge, columns // merge), dtype=np.int64).reshape(3, -1)


def _check_count(found: int, grids: Sequence[Grid], merge: int) -> None:
    if any(frames < 1 or rows < merge or columns < merge for frames, rows, columns in grids):
        raise InvalidRequest(f"A grid of {list(grids)} is smaller than one visual token ({merge}x{merge} patches).")
    wanted = sum(visual_tokens(grid, merge) for grid in grids)
    if found != wanted:
        raise InvalidRequest(
            f"The prompt has {found} image tokens, the grids of its {len(grids)} images make {wanted}.",
            mend="Repeat <|image_pad|> once for each visual token.",
        )
