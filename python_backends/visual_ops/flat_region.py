"""The patch of one colour around a point: what a flat object (a sign, a shape, a label) is.

Colours are compared in CIE Lab, and the tolerance is the one whose region is bounded by the strongest edge. Windows
around the point are tried from small to large, until the region ends inside one; there it is cut out again at a finer
scale, its outline (a rim of a colour of its own) included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.outline import settled, with_outline
from python_backends.visual_ops.regions import filled, piece_at, touches
from python_backends.visual_ops.rle import Mask

SHARES = (0.12, 0.25, 0.5, 1.0)
"""Sides of the windows, as shares of the image's shorter side; the last window is the whole image."""
LOOK_SIDE = 160
FINE_SIDE = 288
TOLERANCES = (8.0, 13.0, 20.0, 30.0)
"""Distances in Lab within which a colour is the point's."""
STEP = 12.0
"""How much further from the point's colour, at least, lies what is behind a real edge."""
BAND = 4
"""Pixels within which an edge has to rise."""
EDGE = 0.9
"""Share of the rim that must be an edge."""
NEAR = 5.0
"""Median distance in Lab from the point's colour, at most."""
SMOOTH = 0.7
"""Median distance in Lab from the mean of the neighbours, at most: fur and skin have 1.7 and more, print has 0.4."""
LEAST_PIXELS = 40


@dataclass(frozen=True)
class Patch:
    """A region in a window.

    Attributes:
        mask: `[height, width]`, of the window at the original's scale.
        window: where it is in the original.
        edge: share of its rim that is an edge.
    """

    mask: Mask
    window: Region
    edge: float


def find_flat_region(image: Pixels, point: tuple[float, float], threshold: float = 0.5) -> Patch | None:
    """The region of the point's colour, or nothing where it is not flat or no edge bounds it.

    Args:
        image: `[height, width, 3]` RGB.
        point: inside the image, in pixels.
        threshold: 0-1; a higher one tolerates less, by half at 1.
    """
    tolerances = [tolerance * (1.5 - threshold) for tolerance in TOLERANCES]
    for window in _windows((image.shape[1], image.shape[0]), point):
        lab, scale = _lab(image, window, LOOK_SIDE)
        at = _within(point, window, scale, lab.shape)
        found = _best(lab, at, _borders(window, image.shape), tolerances)
        if found is not None:
            mask, tolerance, edge = found
            return _refined(image, point, window, (mask, scale), tolerance, edge)
    return None


def _windows(size: tuple[int, int], point: tuple[float, float]) -> Iterator[Region]:
    for share in SHARES:
        side = max(48, round(share * min(size)))
        if share == 1.0 or side >= max(size):
            yield 0, 0, *size
            return
        side = min(side, *size)
        left = min(max(int(point[0] - side / 2), 0), size[0] - side)
        top = min(max(int(point[1] - side / 2), 0), size[1] - side)
        yield left, top, left + side, top + side


def _lab(image: Pixels, window: Region, longest: int) -> tuple[NDArray[np.float32], float]:
    """The window in Lab, at most `longest` pixels a side, and its scale."""
    crop = image[window[1] : window[3], window[0] : window[2]]
    scale = min(1.0, longest / max(crop.shape[:2]))
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.float32), scale


def _within(point: tuple[float, float], window: Region, scale: float, shape: tuple[int, ...]) -> tuple[int, int]:
    """(row, column) of the point in a window's pixels."""
    column = min(int((point[0] - window[0]) * scale), shape[1] - 1)
    row = min(int((point[1] - window[1]) * scale), shape[0] - 1)
    return row, column


def _borders(window: Region, shape: tuple[int, ...]) -> tuple[bool, bool, bool, bool]:
    """Which sides of a window (left, top, right, bottom) lie inside the image: the object may go on behind them."""
    return window[0] > 0, window[1] > 0, window[2] < shape[1], window[3] < shape[0]


def _distance(lab: NDArray[np.float32], at: tuple[int, int]) -> NDArray[np.float32]:
    row, column = at
    around = lab[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3].reshape(-1, 3)
    return np.asarray(np.linalg.norm(lab - np.median(around, axis=0), axis=2), np.float32)


def _best(
    lab: NDArray[np.float32], at: tuple[int, int], inside: tuple[bool, bool, bool, bool], tolerances: list[float]
) -> tuple[Mask, float, float] | None:
    """The region with the clearest edge that ends in the window: mask, tolerance, edge."""
    distance = _distance(lab, at)
    rough = np.linalg.norm(lab - cv2.blur(lab, (3, 3)), axis=2)
    best: tuple[Mask, float, float] | None = None
    for tolerance in tolerances:
        mask = piece_at(distance < tolerance, at)
        if mask is None or mask.sum() < LEAST_PIXELS or touches(mask, inside):
            continue
        if np.median(distance[mask]) > NEAR or np.median(rough[mask]) > SMOOTH:
            continue
        mask = filled(mask)
        edge = _edge(mask, distance, tolerance)
        if edge >= EDGE and (best is None or edge > best[2] + 0.01):
            best = mask, tolerance, edge
    return best


def _edge(mask: Mask, distance: NDArray[np.float32], tolerance: float) -> float:
    """Share of the rim behind which the colour is soon another one; along the image's border there is no rim.

    Of a patch that fills its window this is 0.
    """
    inner = mask.astype(np.uint8)
    rim = (cv2.dilate(inner, np.ones((3, 3), np.uint8)) > 0) & ~mask
    if not rim.any():
        return 0.0
    outside = np.where(mask, 0, distance).astype(np.float32)
    highest = cv2.dilate(outside, np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8))
    return float((highest[rim] >= tolerance + STEP).mean())


def _refined(
    image: Pixels,
    point: tuple[float, float],
    window: Region,
    found: tuple[Mask, float],
    tolerance: float,
    edge: float,
) -> Patch:
    """The same region at a finer scale, with its outline."""
    mask, scale = found
    rows, columns = np.nonzero(mask)
    margin = 0.25 * max(np.ptp(rows), np.ptp(columns)) / scale + 8
    left = max(int(window[0] + columns.min() / scale - margin), 0)
    top = max(int(window[1] + rows.min() / scale - margin), 0)
    right = min(int(window[0] + (columns.max() + 1) / scale + margin) + 1, image.shape[1])
    bottom = min(int(window[1] + (rows.max() + 1) / scale + margin) + 1, image.shape[0])
    fine = (left, top, right, bottom)
    lab, scale = _lab(image, fine, FINE_SIDE)
    at = _within(point, fine, scale, lab.shape)
    again = piece_at(_distance(lab, at) < tolerance, at)
    if again is None:  # the point is on a speck of another colour that the smaller picture did not show
        return Patch(_enlarged(mask, window), window, edge)
    exact = settled(lab, with_outline(lab, settled(lab, filled(again))))
    return Patch(_enlarged(exact, fine), fine, edge)


def _enlarged(mask: Mask, window: Region) -> Mask:
    """`mask` at the original's scale."""
    size = (window[2] - window[0], window[3] - window[1])
    return np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5, np.bool_)
