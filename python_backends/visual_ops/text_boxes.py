"""From a map of text probability to boxes around lines of text.

Differentiable binarisation's post-processing (Liao et al., arXiv 1911.08947, section 3.4) as PP-OCR does it:
threshold, contours, minimum-area rectangles, mean probability as the score, and growing the rectangle back to the
full height of the letters. A rectangle grown by d on each side is the minimum-area rectangle of its offset
polygon, so no polygon clipping is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.3
MIN_SCORE = 0.5
UNCLIP_RATIO = 1.6
MIN_SIDE = 3
MAX_BOXES = 1000

Quad = NDArray[np.float32]
"""Corners `[4, 2]` (x, y): top left, top right, bottom right, bottom left of the text as it is read."""


@dataclass(frozen=True)
class TextBox:
    """A line of text in a picture.

    Attributes:
        quad: its corners.
        score: mean probability of text inside it.
    """

    quad: Quad
    score: float


def find_boxes(probability: NDArray[np.float32]) -> list[TextBox]:
    """Boxes in pixels of the map, in no particular order.

    Args:
        probability: `[height, width]`, 0-1.
    """
    mask = cv2.dilate((probability > THRESHOLD).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours[:MAX_BOXES]:
        centre, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < MIN_SIDE:
            continue
        score = _score(probability, cv2.boxPoints((centre, (width, height), angle)))
        if score < MIN_SCORE:
            continue
        grow = 2 * UNCLIP_RATIO * width * height / (2 * (width + height))
        corners = cv2.boxPoints((centre, (width + grow, height + grow), angle))
        found.append(TextBox(in_reading_order(corners), score))
    return found


def in_reading_order(corners: NDArray[np.float32]) -> Quad:
    """Four corners of a rectangle, top left first, clockwise on the screen."""
    by_x = sorted(np.asarray(corners, np.float32), key=lambda corner: float(corner[0]))
    top_left, bottom_left = sorted(by_x[:2], key=lambda corner: float(corner[1]))
    top_right, bottom_right = sorted(by_x[2:], key=lambda corner: float(corner[1]))
    return np.array([top_left, top_right, bottom_right, bottom_left], np.float32)


def _score(probability: NDArray[np.float32], corners: NDArray[np.float32]) -> float:
    """Mean probability inside a rectangle."""
    height, width = probability.shape
    x1, y1 = np.clip(np.floor(corners.min(0)).astype(int), 0, (width - 1, height - 1))
    x2, y2 = np.clip(np.ceil(corners.max(0)).astype(int), 0, (width - 1, height - 1))
    inside = np.zeros((y2 - y1 + 1, x2 - x1 + 1), np.uint8)
    cv2.fillPoly(inside, [(corners - (x1, y1)).astype(np.int32)], 1)
    return float(cv2.mean(probability[y1 : y2 + 1, x1 : x2 + 1], inside)[0])
