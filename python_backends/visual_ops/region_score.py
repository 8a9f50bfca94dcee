"""How much a region looks like an object: whoever finds regions lets this choose among them.

The score is a linear estimate of the region's intersection over union with the object. Its weights are a ridge
regression over the regions that both ways of finding them proposed on 300 generated scenes
(`perf.ops.labels.object_scenes`, split `fixed`, seeds 1000-1299); no scene or photograph of the split `held_out` took
part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.outline import local_colours
from python_backends.visual_ops.rle import Mask
from python_backends.visual_ops.shape import bounds

SIDE = 128
"""Longer side at which a region and its surroundings are judged, at most."""
LEAST = 8
"""Pixels below which nothing can be said."""
MARGIN = 0.3
EDGE = 10.0
"""Distance in Lab between the two sides of a border that makes it an edge."""
NEAR = 1.0
DEEP = 4.0
"""Between these depths, in pixels, on both sides of a border lie the colours that are compared there."""
AROUND = 0.35
"""Width of a region's surroundings, as a share of the root of its area; three pixels more."""
BINS = (8, 16, 16)
RANGES = (0, 100.01, -100, 156, -100, 156)

APART, SHARP, SIZE, BORDER, COMPACT, BIAS = 0.769, 0.172, 0.067, -0.957, 0.184, -0.517


@dataclass(frozen=True)
class Cut:
    """A region that may be the object.

    Attributes:
        mask: `[height, width]` of the window, at the original's scale.
        window: where it is in the original.
        score: estimate of its intersection over union with the object, 0-1.
        method: how it was found.
    """

    mask: Mask
    window: Region
    score: float
    method: str


def score(image: Pixels, mask: Mask, window: Region, ground: bool = False) -> float:
    """How much the region is an object, 0-1; 0 where it is too small or all there is.

    Args:
        image: `[height, width, 3]` RGB.
        mask: `[height, width]` of `window`.
        window: in the image.
        ground: what other things lie on is meant too: a region that runs along the image's border loses nothing.
    """
    if not mask.any():
        return 0.0
    lab, small = _surroundings(image, mask, window)
    if small.sum() < LEAST or small.all():
        return 0.0
    border = 0.0 if ground else _along_the_border(image, mask, window)
    total = APART * _apart(lab, small) + SHARP * sharpness(lab, small) + SIZE * math.log(small.sum())
    return min(max(total + BORDER * border + COMPACT * _compactness(small) + BIAS, 0.0), 1.0)


def _surroundings(image: Pixels, mask: Mask, window: Region) -> tuple[NDArray[np.float32], Mask]:
    """The region's box with a margin, in Lab at most `SIDE` pixels a side, and the region there."""
    x1, y1, x2, y2 = bounds(mask)
    margin = int(MARGIN * max(x2 - x1, y2 - y1)) + 6
    left, top = max(window[0] + x1 - margin, 0), max(window[1] + y1 - margin, 0)
    right, bottom = min(window[0] + x2 + margin, image.shape[1]), min(window[1] + y2 + margin, image.shape[0])
    scale = min(1.0, SIDE / max(right - left, bottom - top))
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    small = cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    around = np.zeros((bottom - top, right - left), np.float32)
    row, column = window[1] + y1 - top, window[0] + x1 - left
    around[row : row + y2 - y1, column : column + x2 - x1] = mask[y1:y2, x1:x2]
    inside = cv2.resize(around, size, interpolation=cv2.INTER_AREA) >= 0.5
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.float32), np.asarray(inside, np.bool_)


def _apart(lab: NDArray[np.float32], mask: Mask) -> float:
    """How far the region's colours differ from those around it: 1 less the Bhattacharyya coefficient."""
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    around = (away > 0) & (away <= 3 + AROUND * math.sqrt(mask.sum()))
    return 1 - float(np.sqrt(_histogram(lab, mask) * _histogram(lab, around)).sum())


def _histogram(lab: NDArray[np.float32], mask: Mask) -> NDArray[np.float32]:
    """Shares of colours, smoothed, so that neighbouring bins are alike."""
    counts = cv2.calcHist([lab], [0, 1, 2], mask.astype(np.uint8), BINS, RANGES)
    for axis in range(3):
        counts = counts + 0.5 * (np.roll(counts, 1, axis) + np.roll(counts, -1, axis))
    return np.asarray(counts / max(float(counts.sum()), 1e-9), np.float32)


def sharpness(lab: NDArray[np.float32], mask: Mask) -> float:
    """Share of a region's border at which the colours on the two sides differ by `EDGE`.

    Args:
        lab: `[height, width, 3]`.
        mask: `[height, width]`.
    """
    inwards = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    outwards = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    near = min(NEAR, float(inwards.max()) - 1)  # of a thin region there is no more
    inner, has_inner = local_colours(lab, (inwards > near) & (inwards <= near + DEEP - NEAR))
    outer, has_outer = local_colours(lab, (outwards > NEAR) & (outwards <= DEEP))
    rim = (outwards > 0) & (outwards < 1.2) & has_inner & has_outer
    return float((np.linalg.norm((inner - outer)[rim], axis=1) > EDGE).mean()) if rim.any() else 0.0


def _along_the_border(image: Pixels, mask: Mask, window: Region) -> float:
    """Share of the image's border that the region covers: of what things lie on it is most."""
    height, width = image.shape[:2]
    ends = window[0] == 0, window[1] == 0, window[2] == width, window[3] == height
    sides = mask[:, 0], mask[0], mask[:, -1], mask[-1]
    return sum(int(side.sum()) for side, end in zip(sides, ends, strict=True) if end) / (2 * (height + width))


def _compactness(mask: Mask) -> float:
    """4 pi area / perimeter^2 of the longest outline, 1 for a disc."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    contours, _ = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    length = cv2.arcLength(max(contours, key=len), True)
    return float(min(4 * math.pi * mask.sum() / max(length, 1.0) ** 2, 1.0))
