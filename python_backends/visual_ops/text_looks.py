"""A look at a region for lines of text, at a share of its full resolution.

A region is shown to the detector with a margin of its own border colours, at a scale at which letters have the size
that the detector knows. Lines are always cut out at the picture's own resolution, however low the look was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from python_backends.images import Pixels
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.reading_order import Rect
from python_backends.visual_ops.text_boxes import Quad, find_boxes

MARGIN = 0.25
"""Margin on each side, as a share of the region's shorter side, for regions cut tightly around a label."""
MAX_MARGIN = 64
FULL_SIDE = (640, 1600)
"""Bounds of the longer side at full resolution: smaller regions are scaled up, larger ones down."""
SHORTEST = 64
"""The shorter side keeps this many pixels, or very long regions would lose their letters."""
MULTIPLE = 32


@dataclass(frozen=True)
class Canvas:
    """A region with its margin.

    Attributes:
        pixels: at the region's own resolution.
        region: in pixels of the original.
        margin: width of the margin in pixels.
    """

    pixels: Pixels
    region: Region
    margin: int

    def bounds(self, quad: Quad) -> Rect:
        """Bounds of corners on the canvas in pixels of the original, inside the region."""
        x1, y1, x2, y2 = self.region
        corner = np.array([x1 - self.margin, y1 - self.margin])
        left, top = (float(value) for value in corner + np.floor(quad.min(0)))
        right, bottom = (float(value) for value in corner + np.ceil(quad.max(0)))
        return max(left, x1), max(top, y1), min(right, x2), min(bottom, y2)

    @property
    def whole(self) -> Quad:
        """The region's corners on the canvas."""
        near, (height, width) = self.margin, self.pixels.shape[:2]
        right, bottom = width - near, height - near
        return np.array([(near, near), (right, near), (right, bottom), (near, bottom)], np.float32)


@dataclass(frozen=True)
class Seen:
    """What looks like a line.

    Attributes:
        quad: its corners on the canvas.
        score: mean probability of text inside it.
        height: in pixels that the detector saw.
    """

    quad: Quad
    score: float
    height: float


def canvas_of(image: Pixels, region: Region) -> Canvas:
    """A region of `image` `[height, width, 3]`."""
    x1, y1, x2, y2 = region
    pixels = image[y1:y2, x1:x2]
    margin = min(max(2, round(MARGIN * min(pixels.shape[:2]))), MAX_MARGIN)
    padded = cv2.copyMakeBorder(pixels, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    return Canvas(np.asarray(padded, np.uint8), region, margin)


def look(canvas: Canvas, share: float, ocr: Ocr) -> list[Seen]:
    """Lines as they are seen at a share (0-1) of the full resolution's sides."""
    height, width = canvas.pixels.shape[:2]
    longest = max(height, width)
    aim = share * min(max(longest, FULL_SIDE[0]), FULL_SIDE[1])
    scale = max(aim / longest, min(SHORTEST / min(height, width), FULL_SIDE[1] / longest))
    shape = [max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in (width, height)]
    mode = cv2.INTER_AREA if shape[0] < width else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(canvas.pixels, shape, interpolation=mode), np.uint8)
    back = np.array([width / shape[0], height / shape[1]], np.float32)
    limit = np.array([width, height], np.float32)
    return [
        Seen(np.clip(box.quad * back, 0, limit).astype(np.float32), box.score, _lower_side(box.quad))
        for box in find_boxes(ocr.detect(small))
    ]


def _lower_side(quad: Quad) -> float:
    return min(math.dist(quad[0], quad[3]), math.dist(quad[0], quad[1]))
