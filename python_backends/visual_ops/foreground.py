"""Which pixels of a box are the object.

GrabCut (Rother et al., SIGGRAPH 2004) on the box with its surroundings, at a small size. The box may be off by a good
part of the object: only the rim of the surroundings is background for certain, everything within may be the
object, and of the pieces found the one around the box's middle is taken. On a ground of one colour, whatever has
another one is found without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.rle import Mask

EXPAND = 0.2
"""Surroundings on each side at least, as a share of the box's side."""
SLACK = 0.08
"""The same as a share of the image: how far off a box may be. At most the box's longer side."""
RIM = 0.08
"""Width of what is certainly background, as a share of the shorter side of box and surroundings."""
WORK_SIDE = 96
ITERATIONS = 3
LEAST_RIM = 12
"""Pixels of surroundings that say what their colour is."""
EVEN = 5.0
MOST_OF_RIM = 0.9
"""Share of the surroundings within `EVEN` of their median in Lab, where they are of one colour."""
DIFFERENT = 10.0
"""Distance in Lab from there on that is another colour."""
MIXED = 5
"""Side of the square in which the most different pixel says what half of the way to the ground is: a border's place."""
LEAST = 0.06
"""Share of the box that an object covers at least."""
MOST = 0.8
"""Share of box and surroundings that it covers at most; more, and the cut has taken in the background."""


@dataclass(frozen=True)
class Foreground:
    """An object's pixels.

    Attributes:
        mask: `[height, width]` of the crop.
        origin: where the crop's corner is in the original.
        method: `contrast` where the surroundings are of one colour, else `grabcut`, or `ellipse` where neither found
            anything of a plausible size.
    """

    mask: Mask
    origin: tuple[int, int]
    method: str


def find_foreground(image: Pixels, box: Region) -> Foreground:
    """The object in `box`.

    Args:
        image: `[height, width, 3]` RGB.
        box: inside the image.
    """
    x1, y1, x2, y2 = _expanded(box, image.shape[1], image.shape[0])
    crop = image[y1:y2, x1:x2]
    inner = (box[0] - x1, box[1] - y1, box[2] - x1, box[3] - y1)
    scale = min(1.0, WORK_SIDE / max(crop.shape[:2]))
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    small = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)
    scaled = _scaled(inner, scale, size)
    found, method = _off_the_ground(small, scaled), "contrast"
    if found is None:
        found = _cut(small, scaled)
        method = "grabcut" if found is not None else "ellipse"
    mask = found if found is not None else _ellipse(small, scaled)
    full = cv2.resize(mask.astype(np.float32), (crop.shape[1], crop.shape[0]), interpolation=cv2.INTER_LINEAR) >= 0.5
    return Foreground(np.asarray(full, dtype=np.bool_), (x1, y1), method)


def _expanded(box: Region, width: int, height: int) -> Region:
    longer = max(box[2] - box[0], box[3] - box[1])
    dx = round(max(EXPAND * (box[2] - box[0]), min(SLACK * width, longer)))
    dy = round(max(EXPAND * (box[3] - box[1]), min(SLACK * height, longer)))
    return max(box[0] - dx, 0), max(box[1] - dy, 0), min(box[2] + dx, width), min(box[3] + dy, height)


def _scaled(box: Region, scale: float, size: tuple[int, int]) -> Region:
    x1, y1 = min(int(box[0] * scale), size[0] - 1), min(int(box[1] * scale), size[1] - 1)
    return x1, y1, min(max(round(box[2] * scale), x1 + 1), size[0]), min(max(round(box[3] * scale), y1 + 1), size[1])


def _cut(small: Pixels, box: Region) -> Mask | None:
    """GrabCut's answer around the middle of `box`, or nothing where it is not plausible."""
    height, width = small.shape[:2]
    if min(height, width) < 8:
        return None
    labels = _labels((height, width), box)
    cv2.setRNGSeed(0)  # its mixture models start from random centres: same picture, same answer
    empty = np.zeros((1, 65), np.float64)
    try:
        cv2.grabCut(small, labels, None, empty, empty.copy(), ITERATIONS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # one of the two sides ran out of pixels
        return None
    return _middle_piece(labels == cv2.GC_PR_FGD, box)


def _off_the_ground(small: Pixels, box: Region) -> Mask | None:
    """What differs from surroundings that are of one colour; nothing where they are not.

    There GrabCut's five colours have nothing to model, and it may take the object's own margin for the object.
    """
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    rim = _labels((small.shape[0], small.shape[1]), box) == cv2.GC_BGD
    if rim.sum() < LEAST_RIM:
        return None
    distance = np.linalg.norm(lab - np.median(lab[rim], axis=0), axis=2)
    if np.quantile(distance[rim], MOST_OF_RIM) > EVEN:
        return None
    piece = _middle_piece(distance > DIFFERENT, box)
    if piece is None:
        return None
    nearby = cv2.dilate(np.where(piece, distance, 0).astype(np.float32), np.ones((MIXED, MIXED), np.uint8))
    return np.asarray(piece & (distance >= 0.5 * nearby), np.bool_)


def _labels(shape: tuple[int, int], box: Region) -> NDArray[np.uint8]:
    """Background along the rim, perhaps object within.

    A side on which the box ends with the image has no surroundings, and no rim: the object may leave the picture
    there. A box that is the whole image gets a rim all round.
    """
    height, width = shape
    rim = max(1, round(RIM * min(height, width)))
    sides = [box[0] > 0, box[1] > 0, box[2] < width, box[3] < height]
    left, top, right, bottom = (rim if side or not any(sides) else 0 for side in sides)
    labels = np.full(shape, cv2.GC_BGD, np.uint8)
    labels[top : height - bottom, left : width - right] = cv2.GC_PR_FGD
    return labels


def _middle_piece(mask: Mask, box: Region) -> Mask | None:
    """The connected piece that weighs most when pixels near the middle of `box` count more."""
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return None
    weights = np.bincount(pieces.ravel(), _nearness(mask.shape, box).ravel(), count)
    weights[0] = 0
    piece = pieces == int(np.argmax(weights))
    x1, y1, x2, y2 = box
    plausible = piece.sum() >= LEAST * (x2 - x1) * (y2 - y1) and piece.mean() <= MOST
    return np.asarray(piece, dtype=np.bool_) if plausible else None


def _nearness(shape: tuple[int, ...], box: Region) -> NDArray[np.float64]:
    """A Gaussian around the middle of `box`, a quarter of its sides wide."""
    x1, y1, x2, y2 = box
    y, x = np.mgrid[: shape[0], : shape[1]]
    dx, dy = (x + 0.5 - (x1 + x2) / 2) / ((x2 - x1) / 4), (y + 0.5 - (y1 + y2) / 2) / ((y2 - y1) / 4)
    return np.asarray(np.exp(-(dx**2 + dy**2) / 2))


def _ellipse(small: Pixels, box: Region) -> Mask:
    """The ellipse inscribed in the box."""
    x1, y1, x2, y2 = box
    y, x = np.mgrid[: small.shape[0], : small.shape[1]]
    dx, dy = (x + 0.5 - (x1 + x2) / 2) / ((x2 - x1) / 2), (y + 0.5 - (y1 + y2) / 2) / ((y2 - y1) / 2)
    return np.asarray(dx**2 + dy**2 <= 1, dtype=np.bool_)
