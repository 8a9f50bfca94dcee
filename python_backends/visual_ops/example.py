"""How much of each frame looks like an example: by features of the served image encoder, and by its very pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.features import SIDE, Cells, Features
from python_backends.visual_ops.frames import listed
from python_backends.visual_ops.looks import Looks
from python_backends.visual_ops.probing import filled, probed
from python_backends.visual_ops.shots import pieces

SMALL = 0.15
"""Side of the example, as a share of the frame's, under which frames are looked at in overlapping quarters."""
EVERY = 12
"""Frames between two first looks at a shot, at most."""
BATCH = 16
"""Views held at a time."""
ELSEWHERE = 0.5
"""Likeness of what is not the example, where the example is all of its frame."""


def example_scores(
    frames: Sequence[Pixels], index: int, box: Region, features: Features, least: float, effort: Effort
) -> list[float]:
    """Scores 0-1 of every frame: 0 for what the example's own surroundings reach, 1 for the example.

    The example is the mean feature under its box. Every place of a frame that is as large is compared by cosine. Where
    the background is another one, features are too; there the object's own pixels tell (`looks.py`).

    Args:
        frames: of one size.
        index: the example's frame.
        box: the example, in that frame.
        features: the model.
        least: score from which on it is there.
        effort: how hard to look. A small example is looked for in quarters of the frames at full resolution only; where
            something may be left out, only those frames are looked at that tell where it begins and ends.
    """
    small = _is_small(frames[0], box)
    for step in effort.steps():
        example = _Example(frames, index, box, features, small and step == 1)
        if not small or effort.enough(example.contrast):
            break
    if not effort.ladder.stop_early:
        return example.scores(range(len(frames)))
    film = pieces(frames)
    known = probed(film, lambda indexes: example.scores(indexes, least), least, EVERY)
    if len(known) < len(frames):
        effort.skip(f"frames {listed([i for i in range(len(frames)) if i not in known])}")
    return filled(film, known)


class _Example:
    """What is looked for, and what else there is in its own frame.

    Attributes:
        contrast: how much more the example is like itself than anything else in its frame is, in cosines.
    """

    def __init__(self, frames: Sequence[Pixels], index: int, box: Region, features: Features, closely: bool) -> None:
        height, width = frames[0].shape[:2]
        self._frames, self._features, self._tiles = frames, features, _tiles(width, height, closely)
        self._looks = Looks(frames[index], box)
        own = _cells([frames[index]], self._tiles, features)[0]
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        best = min(range(len(self._tiles)), key=lambda i: _off(self._tiles[i], middle))
        weights = [_cover(tile, box, own.shape[1]) for tile in self._tiles]
        example = np.tensordot(weights[best], own[best], 2)
        self._example = example / (np.linalg.norm(example) + 1e-9)
        self._window = _window(self._tiles[best], box, own.shape[1])
        likeness = np.stack([_likeness(cells, self._window, self._example) for cells in own])
        high = float(likeness.max())
        reach = np.ones((self._window[1], self._window[0]), np.uint8)
        away = np.stack([cv2.dilate((weight > 0.02).astype(np.uint8), reach) == 0 for weight in weights])
        self._low = min(float(likeness[away].max()) if away.any() else ELSEWHERE, high - 0.05)
        self.contrast = high - self._low

    def scores(self, indexes: Sequence[int], enough: float = 1.0) -> list[float]:
        """Of the frames with these indexes: by looks or by features, whichever is higher.

        Features are asked where looks say less than `enough`.
        """
        scores = {i: self._looks.score(self._frames[i]) for i in indexes}
        asked = [i for i in indexes if scores[i] < enough]
        for i, score in zip(asked, self._likenesses(asked), strict=True):
            scores[i] = max(scores[i], score)
        return [scores[i] for i in indexes]

    def _likenesses(self, indexes: Sequence[int]) -> list[float]:
        """Scores by features."""
        scores: list[float] = []
        at_once = max(1, BATCH // len(self._tiles))
        for start in range(0, len(indexes), at_once):
            frames = [self._frames[i] for i in indexes[start : start + at_once]]
            for views in _cells(frames, self._tiles, self._features):
                most = max(float(_likeness(cells, self._window, self._example).max()) for cells in views)
                scores.append(min(max((most - self._low) / self.contrast, 0.0), 1.0))
        return scores


def _is_small(frame: Pixels, box: Region) -> bool:
    height, width = frame.shape[:2]
    return min((box[2] - box[0]) / width, (box[3] - box[1]) / height) < SMALL


def _tiles(width: int, height: int, small: bool) -> list[Region]:
    if not small:
        return [(0, 0, width, height)]
    wide, high = max(1, (width + 1) // 2), max(1, (height + 1) // 2)
    corners = [(round(i * (width - wide) / 2), round(j * (height - high) / 2)) for j in range(3) for i in range(3)]
    return [(x, y, x + wide, y + high) for x, y in corners]


def _cells(frames: Sequence[Pixels], tiles: Sequence[Region], features: Features) -> NDArray[np.float32]:
    """`[frames, tiles, grid, grid, width]`."""
    views = [
        cv2.resize(frame[y1:y2, x1:x2], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for frame in frames
        for x1, y1, x2, y2 in tiles
    ]
    cells = features(np.asarray(np.stack(views), np.uint8))
    return cells.reshape(len(frames), len(tiles), *cells.shape[1:])


def _off(tile: Region, at: tuple[float, float]) -> float:
    """How far a point is from a tile's middle."""
    return abs((tile[0] + tile[2]) / 2 - at[0]) + abs((tile[1] + tile[3]) / 2 - at[1])


def _cover(tile: Region, box: Region, grid: int) -> NDArray[np.float32]:
    """`[grid, grid]`, the share of each cell of `tile` that `box` covers."""
    spans = []
    for low, high, first, last in ((tile[0], tile[2], box[0], box[2]), (tile[1], tile[3], box[1], box[3])):
        edges = np.linspace(low, high, grid + 1)
        spans.append(
            np.clip(np.minimum(edges[1:], last) - np.maximum(edges[:-1], first), 0, None) * grid / (high - low)
        )
    return np.asarray(spans[1][:, None] * spans[0], np.float32)


def _window(tile: Region, box: Region, grid: int) -> tuple[int, int]:
    """(columns, rows) of cells that are as large as the example."""
    wide = round(grid * (box[2] - box[0]) / (tile[2] - tile[0]))
    high = round(grid * (box[3] - box[1]) / (tile[3] - tile[1]))
    return min(max(1, wide), grid), min(max(1, high), grid)


def _likeness(cells: Cells, window: tuple[int, int], example: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[grid, grid]`, cosine of the example to the mean over the window around each cell."""
    pooled = cv2.boxFilter(np.ascontiguousarray(cells), -1, window, borderType=cv2.BORDER_REPLICATE)
    pooled /= np.linalg.norm(pooled, axis=-1, keepdims=True) + 1e-9
    return np.asarray(pooled @ example, np.float32)
