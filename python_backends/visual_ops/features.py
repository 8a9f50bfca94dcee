"""Features of a picture's parts, and what of a picture is like the part at a point.

A prototype of the object (first the clicked cell, then the mean over the region found) is held against one of the
rest, and the region is found again: k-means with two clusters, of which the object's is connected and holds the point.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.engine import Engine, load_engine
from python_backends.visual_ops.regions import piece_at
from python_backends.visual_ops.rle import Mask

SIDE = 224
GRID = 28
"""Cells a side on which regions are found; features are interpolated to it."""
ROUNDS = 4
CLICK = 0.3
"""Share of the clicked cell in the object's prototype."""

Cells = NDArray[np.float32]
"""`[grid, grid, width]`; the inner product of two cells says how alike they are, 1 at most."""


class Features(Protocol):
    """Features of pictures, wherever the model runs."""

    def __call__(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Views `[n, 224, 224, 3]` RGB -> `[n, 14, 14, width]`.

        Raises:
            ServingError: the model did not answer.
        """


class EngineFeatures:
    """The image encoder in this process.

    Args:
        encoder: version folder of `embed_image`.
        threads: threads of one run.
    """

    def __init__(self, encoder: Path, threads: int = 1) -> None:
        self._engine: Engine = load_engine(encoder, threads)

    def __call__(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Features`."""
        return np.asarray(self._engine.run({"IMAGE": np.ascontiguousarray(views)})["FEATURES"], np.float32)


@dataclass(frozen=True)
class Likeness:
    """Where a view is like its clicked cell.

    Attributes:
        score: `[GRID, GRID]`, more like the object than like the rest where it is positive.
        mask: `[GRID, GRID]`, the connected region at the point where it is.
        contrast: mean score inside less mean score outside.
    """

    score: NDArray[np.float32]
    mask: Mask
    contrast: float


def likeness(cells: Cells, at: tuple[float, float]) -> Likeness | None:
    """Which part of a view belongs to the cell at a point.

    Args:
        cells: one view's features.
        at: the point as shares of the view's width and height.

    Returns:
        Nothing where the view is all alike.
    """
    grid = cv2.resize(cells, (GRID, GRID), interpolation=cv2.INTER_LINEAR)
    grid /= np.linalg.norm(grid, axis=-1, keepdims=True) + 1e-9
    row, column = min(int(at[1] * GRID), GRID - 1), min(int(at[0] * GRID), GRID - 1)
    clicked = _unit(grid[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].mean((0, 1)))
    score = grid @ clicked
    score -= _otsu(score)
    mask = piece_at(score > 0, (row, column))
    for _ in range(ROUNDS):
        if mask is None or mask.sum() < 4 or mask.mean() > 0.95:
            break
        inside = _unit((1 - CLICK) * grid[mask].mean(0) + CLICK * clicked)
        again = grid @ (inside - _unit(grid[~mask].mean(0)))
        found = piece_at(again > 0, (row, column))
        if found is None:
            break
        score, mask = again, found
    if mask is None or mask.all():
        return None
    return Likeness(score, mask, float(score[mask].mean() - score[~mask].mean()))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-9), np.float32)


def _otsu(values: NDArray[np.float32]) -> float:
    """The threshold that parts `values` best (Otsu, IEEE Trans. SMC 1979)."""
    low, high = float(values.min()), float(values.max())
    bytes_ = ((values - low) / (high - low + 1e-9) * 255).astype(np.uint8)
    at, _ = cv2.threshold(bytes_, 0, 255, cv2.THRESH_OTSU)
    return low + float(at) / 255 * (high - low)
