"""Which pixels of a first frame are the object that is to be followed, and at which scale it is looked at."""

from __future__ import annotations

import cv2
import numpy as np

from python_backends.images import Pixels
from python_backends.visual_ops.appearance import Floats
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.flat_region import find_flat_region
from python_backends.visual_ops.foreground import find_foreground
from python_backends.visual_ops.rle import Mask
from python_backends.visual_ops.shape import bounds

FITS = 0.4
"""Overlap with the given box from which on a flat region around its middle is the object."""
SLACK, LEAST_SLACK = 0.12, 3
"""How far a cut-out object may reach out of its box, as a share of the box's side and in pixels."""


def object_in(frame: Pixels, box: Region) -> Mask:
    """The object in a box that may be a little off: a flat one around its middle, else what GrabCut finds."""
    flat = find_flat_region(frame, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    if flat is not None:
        whole = _placed(flat.mask, flat.window[:2], frame)
        if _overlap(bounds(whole), box) >= FITS:
            return whole
    found = find_foreground(frame, box)
    whole = _placed(found.mask, found.origin, frame)
    x1, y1, x2, y2 = box
    dx, dy = (max(LEAST_SLACK, round(SLACK * side)) for side in (x2 - x1, y2 - y1))
    inside = np.zeros_like(whole)
    inside[max(y1 - dy, 0) : y2 + dy, max(x1 - dx, 0) : x2 + dx] = True
    whole &= inside
    return whole if whole.any() and _overlap(bounds(whole), box) >= FITS else _ellipse(frame, box)


def _ellipse(frame: Pixels, box: Region) -> Mask:
    """The ellipse inscribed in the box."""
    y, x = np.ogrid[: frame.shape[0], : frame.shape[1]]
    dx = (x + 0.5 - (box[0] + box[2]) / 2) / ((box[2] - box[0]) / 2)
    dy = (y + 0.5 - (box[1] + box[3]) / 2) / ((box[3] - box[1]) / 2)
    return np.asarray(dx**2 + dy**2 <= 1, np.bool_)


def _placed(mask: Mask, origin: tuple[int, int], frame: Pixels) -> Mask:
    whole = np.zeros(frame.shape[:2], np.bool_)
    x, y = origin
    whole[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    return whole


def _overlap(a: Region, b: Region) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def small_mask(mask: Mask, lab: Floats) -> Mask:
    """`mask` at the scale of `lab`, without its rim, where colours mix; at least one pixel."""
    share = cv2.resize(mask.astype(np.float32), lab.shape[1::-1], interpolation=cv2.INTER_AREA)
    inside = (share >= 0.5).astype(np.uint8)
    eroded = cv2.erode(inside, np.ones((3, 3), np.uint8))
    for candidate in (eroded, inside):
        if candidate.sum() >= 9:
            return np.asarray(candidate > 0, np.bool_)
    return np.asarray(share >= share.max(), np.bool_)


def hull(mask: Mask) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """`[n, 2]` corners around the pixels of a mask, from its middle."""
    rows, columns = np.nonzero(mask)
    corners = np.concatenate([np.stack([columns + dx, rows + dy], 1) for dx in (0, 1) for dy in (0, 1)])
    around = cv2.convexHull(corners.astype(np.float32))[:, 0]
    return np.asarray(around - np.array(mask.shape[::-1]) / 2, np.float64)
