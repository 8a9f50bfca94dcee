"""The patch of one colour around a point: what a flat object (a sign, a shape, a label) is.

Colours are compared in CIE Lab. Windows around the point are tried from small to large, with several tolerances each;
of the regions that end inside their window the one that looks most like an object is taken, and cut out again at a
finer scale, its outline (a rim of a colour of its own) included.
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
from python_backends.visual_ops.region_score import Cut, score, sharpness
from python_backends.visual_ops.regions import filled, piece_at, touches
from python_backends.visual_ops.rle import Mask
from python_backends.visual_ops.shape import bounds

METHOD = "flat_region"
SHARES = (0.12, 0.25, 0.5, 1.0)
"""Sides of the windows, as shares of the image's shorter side; the last window is the whole image."""
LOOK_SIDE = 160
FINE_SIDE = 288
TOLERANCES = (6.0, 9.0, 13.0, 20.0, 30.0, 42.0)
"""Distances in Lab within which a colour is the point's."""
SURE = 0.9
"""Score from which on larger windows are not tried, and other ways neither."""
SAME = 0.95
"""Share of its area that a region has in common with one that was judged before, and is not judged again."""
LEAST_PIXELS = 20
BLURRED = 0.15
"""What takes this much of a region's sharp border is no outline of it."""
NEAR = 5.0
"""Median distance in Lab from the point's colour up to which a region is of one colour."""
SMOOTH = 0.7
"""Median distance in Lab from the mean of the neighbours, at most: fur and skin have 1.7 and more, print has 0.4."""
LIKELY = 0.65
"""Score from which on a smooth region is believed."""
DOUBT = 0.25
"""What any other region loses: its colour may be that of a part or a spot, and whoever looks at more decides."""
KEPT = 0.5
"""Least overlap of a region with itself at a finer scale; less, and it has run out through a gap there."""


@dataclass(frozen=True)
class Surface:
    """What a region is like inside.

    Attributes:
        smooth: no texture.
        even: of one colour too, so that a point on it means all of it, be it what other things lie on.
    """

    smooth: bool
    even: bool


def find_flat_region(
    image: Pixels, point: tuple[float, float], threshold: float = 0.5, resolution: float = 1.0
) -> Cut | None:
    """The region of the point's colour that looks most like an object, or nothing where none ends.

    Args:
        image: `[height, width, 3]` RGB.
        point: inside the image, in pixels.
        threshold: 0-1; a higher one tolerates less when the region is cut out exactly, by half at 1.
        resolution: share of the sides at which windows are looked at.
    """
    side = max(1, round(LOOK_SIDE * resolution))
    best: tuple[Cut, float] | None = None
    for window in _windows((image.shape[1], image.shape[0]), point):
        for tolerance, mask, surface in _regions(image, point, window, side):
            value = score(image, mask, window, ground=surface.even)
            value -= 0.0 if surface.smooth and value >= LIKELY else DOUBT
            if best is None or value > best[0].score:
                best = Cut(mask, window, value, METHOD), tolerance
        if best is not None and best[0].score >= SURE:
            break
    return None if best is None else _refined(image, point, best[0], best[1] * (1.5 - threshold))


def _regions(
    image: Pixels, point: tuple[float, float], window: Region, side: int
) -> Iterator[tuple[float, Mask, Surface]]:
    """The tolerances of one window with regions that end in it, at the original's scale; each region once."""
    lab, scale = _lab(image, window, side)
    at = _within(point, window, scale, lab.shape)
    distance, borders, area = _distance(lab, at), _borders(window, image.shape), 0
    rough = np.linalg.norm(lab - cv2.blur(lab, (3, 3)), axis=2)
    for tolerance in TOLERANCES:
        mask = piece_at(distance < tolerance, at)
        if mask is None or mask.sum() < LEAST_PIXELS:
            continue
        if touches(mask, borders):  # so do all with a higher tolerance
            return
        mask = filled(mask)
        if area < SAME * mask.sum():  # one lies in the next: areas say how much they have in common
            area = int(mask.sum())
            smooth = _roughness(rough, mask) <= SMOOTH
            surface = Surface(smooth, smooth and bool(np.median(distance[mask]) <= NEAR))
            yield tolerance, _enlarged(mask, window), surface


def _roughness(rough: NDArray[np.float32], mask: Mask) -> float:
    """Of a region without its rim; 0 of one that is all rim."""
    inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return float(np.median(rough[inside])) if inside.any() else 0.0


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


def _refined(image: Pixels, point: tuple[float, float], found: Cut, tolerance: float) -> Cut:
    """The same region at a finer scale, with its outline."""
    window = found.window
    x1, y1, x2, y2 = bounds(found.mask)
    margin = 0.25 * max(x2 - x1, y2 - y1) + 8
    fine = (
        max(int(window[0] + x1 - margin), 0),
        max(int(window[1] + y1 - margin), 0),
        min(int(window[0] + x2 + margin) + 1, image.shape[1]),
        min(int(window[1] + y2 + margin) + 1, image.shape[0]),
    )
    lab, scale = _lab(image, fine, FINE_SIDE)
    at = _within(point, fine, scale, lab.shape)
    again = piece_at(_distance(lab, at) < tolerance, at)
    if again is None:  # the point is on a speck of another colour that the smaller picture did not show
        return found
    again = filled(again)
    if _overlap(_enlarged(again, fine), fine, found) < KEPT:
        return found
    exact = settled(lab, again)
    outlined = settled(lab, with_outline(lab, exact))
    if sharpness(lab, outlined) < sharpness(lab, exact) - BLURRED:
        outlined = exact
    return Cut(_enlarged(outlined, fine), fine, found.score, found.method)


def _overlap(mask: Mask, window: Region, found: Cut) -> float:
    """Intersection over union of a mask of `window` with what was found."""
    x1, y1 = max(window[0], found.window[0]), max(window[1], found.window[1])
    x2, y2 = min(window[2], found.window[2]), min(window[3], found.window[3])
    one = mask[y1 - window[1] : y2 - window[1], x1 - window[0] : x2 - window[0]]
    x, y = found.window[:2]
    both = int((one & found.mask[y1 - y : y2 - y, x1 - x : x2 - x]).sum())
    return both / max(int(mask.sum()) + int(found.mask.sum()) - both, 1)


def _enlarged(mask: Mask, window: Region) -> Mask:
    """`mask` at the original's scale."""
    size = (window[2] - window[0], window[3] - window[1])
    return np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5, np.bool_)
