"""The object around a point by its features: coarse by likeness, exact by GrabCut.

The whole image and windows around the point are looked at in one call of the model. The windows in which the clicked
part and the rest differ most are those in which the object has the right size; GrabCut (Rother et al., SIGGRAPH 2004)
then finds its border from the region there, and the region that looks most like an object is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.features import GRID, Likeness, likeness
from python_backends.visual_ops.region_score import Cut
from python_backends.visual_ops.region_score import score as score_of
from python_backends.visual_ops.regions import filled, piece_at
from python_backends.visual_ops.rle import Mask
from python_backends.visual_ops.views import Views

WHOLE = 1.0
SHARES = (WHOLE, 0.25, 0.5, 0.125)
"""Windows in the order in which they are looked at: the whole image, and sides as shares of its shorter side."""
CUTS = 2
"""Windows, those with the clearest difference, whose region is cut out exactly and judged."""
SMALLEST = 24
TOUCH = 0.3
"""What a region loses for running along a border behind which the image goes on."""
PLAIN = 2.0
"""Standard deviation of a window's channels up to which there is nothing in it."""
NEUTRAL = 0.5
"""Threshold at which regions are compared; another one moves the border of the one that is taken."""
MARGIN = 0.25
WORK_SIDE = 128
ITERATIONS = 3
SURE = 0.45
"""Share of the highest score from which a pixel is the object for certain (weighed by `threshold`)."""


def find_by_features(
    image: Pixels,
    point: tuple[float, float],
    threshold: float,
    views: Views,
    shares: Sequence[float],
    known: dict[Region, Cut],
) -> Cut | None:
    """The object at a point, or nothing where all around is alike.

    Args:
        image: `[height, width, 3]` RGB.
        point: inside the image, in pixels.
        threshold: 0-1; higher keeps less, 0.5 is neutral.
        views: the features of the image's parts.
        shares: sides of the windows that are looked at, among `SHARES`.
        known: regions that were cut out for this point before, by window; new ones are added.
    """
    windows = _windows((image.shape[1], image.shape[0]), point, shares)
    told = [window for window in windows if _has_something(image, window)]
    found: list[tuple[float, Region, Likeness]] = []
    for window, cells in zip(told, views.cells(told), strict=True):
        seen = likeness(cells, _share(point, window))
        if seen is not None:
            found.append((seen.contrast - TOUCH * _touch(seen.mask, window, image.shape), window, seen))
    best = sorted(found, key=lambda entry: -entry[0])[:CUTS]
    for _, window, seen in best:
        if window not in known:
            known[window] = _cut(image, point, window, seen, NEUTRAL)
    if not best:
        return None
    _, window, seen = max(best, key=lambda entry: entry[0] + known[entry[1]].score)
    cut = known[window]
    return cut if threshold == NEUTRAL else _moved(cut, _cut(image, point, window, seen, threshold), threshold)


def _moved(neutral: Cut, other: Cut, threshold: float) -> Cut:
    """The cut at another threshold, in the same window: no larger at a higher one, no smaller at a lower one."""
    mask = neutral.mask & other.mask if threshold > NEUTRAL else neutral.mask | other.mask
    return replace(other, mask=mask) if mask.any() else neutral


def _windows(size: tuple[int, int], point: tuple[float, float], shares: Sequence[float]) -> list[Region]:
    windows: list[Region] = []
    for share in shares:
        side = min(max(SMALLEST, round(share * min(size))), *size)
        left = min(max(int(point[0] - side / 2), 0), size[0] - side)
        top = min(max(int(point[1] - side / 2), 0), size[1] - side)
        window = (0, 0, *size) if share == WHOLE else (left, top, left + side, top + side)
        if window not in windows:
            windows.append(window)
    return windows


def _has_something(image: Pixels, window: Region) -> bool:
    part = image[window[1] : window[3], window[0] : window[2]]
    return float(cv2.meanStdDev(part)[1].max()) > PLAIN


def _share(point: tuple[float, float], window: Region) -> tuple[float, float]:
    return (point[0] - window[0]) / (window[2] - window[0]), (point[1] - window[1]) / (window[3] - window[1])


def _touch(mask: Mask, window: Region, shape: tuple[int, ...]) -> float:
    """Share of the borders inside the image along which the region runs, summed over the four sides."""
    inside = window[0] > 0, window[1] > 0, window[2] < shape[1], window[3] < shape[0]
    edges = mask[:, 0], mask[0], mask[:, -1], mask[-1]
    return float(sum(edge.mean() for edge, there in zip(edges, inside, strict=True) if there))


def _cut(image: Pixels, point: tuple[float, float], window: Region, seen: Likeness, threshold: float) -> Cut:
    crop = _surroundings(seen.mask, window, image.shape)
    pixels = image[crop[1] : crop[3], crop[0] : crop[2]]
    scale = min(1.0, WORK_SIDE / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    x, y = _share(point, crop)
    at = min(int(y * size[1]), size[1] - 1), min(int(x * size[0]), size[0] - 1)
    score = _onto(seen.score - _shift(seen.score, threshold), window, crop, size)
    inside = _onto(seen.mask.astype(np.float32), window, crop, size, outside=0.0) >= 0.5
    coarse = piece_at(inside & (score > 0), at)
    coarse = inside if coarse is None else coarse
    cut = _grabcut(small, coarse, score, at)
    method = "features" if cut is None else "features+grabcut"
    mask = filled(coarse if cut is None else cut).astype(np.float32)
    full = cv2.resize(mask, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_LINEAR) >= 0.5
    exact = np.asarray(full, np.bool_)
    return Cut(exact, crop, score_of(image, exact, crop), method)


def _shift(score: NDArray[np.float32], threshold: float) -> float:
    """How far a `threshold` other than 0.5 moves the line: to the highest score at 1, to the lowest at 0."""
    end = float(score.max()) if threshold > 0.5 else -float(score.min())
    return (2 * threshold - 1) * max(end, 0.0)


def _surroundings(mask: Mask, window: Region, shape: tuple[int, ...]) -> Region:
    """The region's box with a margin, in pixels of the original."""
    rows, columns = np.nonzero(mask)
    sx, sy = (window[2] - window[0]) / GRID, (window[3] - window[1]) / GRID
    x1, x2 = window[0] + columns.min() * sx, window[0] + (columns.max() + 1) * sx
    y1, y2 = window[1] + rows.min() * sy, window[1] + (rows.max() + 1) * sy
    dx, dy = MARGIN * (x2 - x1) + 4, MARGIN * (y2 - y1) + 4
    return max(int(x1 - dx), 0), max(int(y1 - dy), 0), min(int(x2 + dx), shape[1]), min(int(y2 + dy), shape[0])


def _onto(
    cells: NDArray[np.float32], window: Region, crop: Region, size: tuple[int, int], outside: float | None = None
) -> NDArray[np.float32]:
    """A window's cells on the pixels of a crop scaled to `size`; beyond the window its border goes on, or `outside`."""
    fx, fy = size[0] / (crop[2] - crop[0]), size[1] / (crop[3] - crop[1])
    sx, sy = (window[2] - window[0]) / GRID * fx, (window[3] - window[1]) / GRID * fy
    # Cell centres are at half numbers, those of pixels too.
    move = np.array(
        [[sx, 0, (window[0] - crop[0]) * fx + sx / 2 - 0.5], [0, sy, (window[1] - crop[1]) * fy + sy / 2 - 0.5]]
    )
    mode = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    return np.asarray(cv2.warpAffine(cells, move, size, flags=cv2.INTER_LINEAR, borderMode=mode), np.float32)


def _grabcut(small: Pixels, coarse: Mask, score: NDArray[np.float32], at: tuple[int, int]) -> Mask | None:
    """The object's exact mask, or nothing where one of the two sides has no pixels."""
    labels = np.where(coarse, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    reach = 2 * max(2, small.shape[1] // 12) + 1
    near = cv2.dilate(coarse.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    labels[near == 0] = cv2.GC_BGD
    labels[coarse & (score > SURE * score.max())] = cv2.GC_FGD
    cv2.circle(labels, (at[1], at[0]), 2, int(cv2.GC_FGD), -1)
    if coarse.all():
        return None
    cv2.setRNGSeed(0)  # its mixture models start from random centres: same picture, same answer
    models = np.zeros((1, 65), np.float64), np.zeros((1, 65), np.float64)
    try:
        cv2.grabCut(small, labels, None, *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # one of the two sides ran out of pixels
        return None
    return piece_at((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD), at)
