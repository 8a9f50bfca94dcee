"""M-RoPE positions: three numbers a token (time, row, column), equal for text.

Qwen2-VL, arXiv 2409.12191, section 2.1. A visual token takes its place in the image's grid; the text after an image
goes on from the larger side of that grid, so a position can be smaller than the token's index. The frames of a video
lie apart in time by their seconds (Qwen2.5-VL), or are images of their own with the time as text between (Qwen3-VL).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest

Grid = tuple[int, int, int]
"""Patches of an image: (frames, rows, columns), before merging."""


@dataclass(frozen=True)
class Videos:
    """The videos of a prompt.

    Attributes:
        token: id that stands for a visual token of a video.
        grids: of each, in order.
        steps: positions from one temporal patch of each video to the next (`tokens_per_second` times its seconds).
    """

    token: int
    grids: Sequence[Grid]
    steps: Sequence[float]

    @classmethod
    def timed(cls, token: int, grids: Sequence[Grid], tokens_per_second: int, seconds: Sequence[float]) -> Videos:
        """Of Qwen2.5-VL: `seconds` between the temporal patches of each video."""
        return cls(token, grids, [tokens_per_second * value for value in seconds])

    @classmethod
    def apart(cls, token: int, grids: Sequence[Grid]) -> Videos:
        """Of Qwen3-VL: every temporal patch has its own time in the text before it."""
        frames = [(1, rows, columns) for count, rows, columns in grids for _ in range(count)]
        return cls(token, frames, [1.0] * len(frames))


def visual_tokens(grid: Grid, merge: int) -> int:
    """Number of visual tokens of an image, for `merge` x `merge` patches a token."""
    frames, rows, columns = grid
    return frames * (rows // merge) * (columns // merge)


def mrope_positions(
    ids: NDArray[np.int64],
    grids: Sequence[Grid],
    image_token: int,
    merge: int,
    videos: Videos | None = None,
    step: float = 1.0,
) -> tuple[NDArray[np.int64], int]:
    """Positions of a prompt, and the position of the token that follows it.

    Args:
        ids: token ids `[S]`; the image token is repeated once a visual token.
        grids: patch grid of each image, in order.
        image_token: id that stands for a visual token.
        merge: patches a visual token covers along one side.
        videos: those of the prompt, where it has any with a token of their own.
        step: positions from one temporal patch to the next, of images that have several.

    Returns:
        positions `[3, S]`, and the next position (the same on the three axes).

    Raises:
        InvalidRequest: the image tokens in `ids` do not match the grids.
    """
    positions = np.empty((3, len(ids)), np.int64)
    at = start = 0
    for first, grid, apart in _places(ids, grids, image_token, merge, videos, step):
        count, text = visual_tokens(grid, merge), first - at
        positions[:, at:first] = np.arange(start, start + text)
        start += text
        positions[:, first : first + count] = _grid_positions(grid, merge, apart) + start
        start += max(grid[1], grid[2]) // merge
        at = first + count
    rest = len(ids) - at
    positions[:, at:] = np.arange(start, start + rest)
    return positions, int(positions.max()) + 1 if len(ids) else 0


def _places(
    ids: NDArray[np.int64], grids: Sequence[Grid], image_token: int, merge: int, videos: Videos | None, step: float
) -> Iterator[tuple[int, Grid, float]]:
    """Where images and videos begin, as they come: (index of the first token, grid, positions between its frames)."""
    found = list(_places_of(ids == image_token, grids, [step] * len(grids), merge, "image"))
    if videos is not None:
        found += _places_of(ids == videos.token, videos.grids, videos.steps, merge, "video")
    yield from sorted(found)


def _places_of(
    is_kind: NDArray[np.bool_], grids: Sequence[Grid], steps: Sequence[float], merge: int, kind: str
) -> Iterator[tuple[int, Grid, float]]:
    places = np.flatnonzero(is_kind)
    _check_count(len(places), grids, merge, kind)
    taken = 0
    for grid, step in zip(grids, steps, strict=True):
        first, count = int(places[taken]), visual_tokens(grid, merge)
        if not is_kind[first : first + count].all() or len(is_kind) < first + count:
            raise InvalidRequest(f"Text interrupts the {count} {kind} tokens that begin at {first}.")
        yield first, grid, step
        taken += count


def _grid_positions(grid: Grid, merge: int, step: float) -> NDArray[np.int64]:
    """(time, row, column) of each visual token of an image `[3, n]`, row by row."""
    frames, rows, columns = grid
    places = np.indices((frames, rows // merge, columns // merge), dtype=np.int64).reshape(3, -1)
    if step != 1.0:
        # in fp32 and cut off, as the checkpoints were trained with
        places[0] = (places[0].astype(np.float32) * np.float32(step)).astype(np.int64)
    return places


def _check_count(found: int, grids: Sequence[Grid], merge: int, kind: str) -> None:
    if any(frames < 1 or rows < merge or columns < merge for frames, rows, columns in grids):
        raise InvalidRequest(f"A grid of {list(grids)} is smaller than one visual token ({merge}x{merge} patches).")
    wanted = sum(visual_tokens(grid, merge) for grid in grids)
    if found != wanted:
        raise InvalidRequest(
            f"The prompt has {found} {kind} tokens, the grids of its {len(grids)} {kind}s make {wanted}.",
            mend=f"Repeat <|{kind}_pad|> once for each visual token.",
        )
