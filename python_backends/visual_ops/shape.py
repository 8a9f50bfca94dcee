"""Measures of a mask: size, outline, position."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from python_backends.visual_ops.arguments import Size
from python_backends.visual_ops.rle import Mask

_COLUMNS = ("left", "centre", "right")
_ROWS = ("top", "middle", "bottom")


def shape_of(mask: Mask) -> dict[str, float]:
    """Outline measures.

    Returns:
        `area` in pixels; `perimeter` in pixels (see `perimeter`); `circularity` 4 pi area / perimeter^2, 1 for a
        disc; `aspect_ratio` width / height of the bounds; `convexity` area / area of the convex hull.
    """
    area = int(mask.sum())
    length = perimeter(mask)
    x1, y1, x2, y2 = bounds(mask)
    return {
        "area": area,
        "perimeter": round(length, 2),
        "circularity": round(min(4 * math.pi * area / length**2, 1.0), 4),
        "aspect_ratio": round((x2 - x1) / (y2 - y1), 4),
        "convexity": round(min(area / _hull_area(mask), 1.0), 4),
    }


def bounds(mask: Mask) -> tuple[int, int, int, int]:
    """`[x1, y1, x2, y2]`, half-open: a 50-wide mask has x2 - x1 = 50."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def perimeter(mask: Mask) -> float:
    """Length of all outer outlines in pixels.

    Chain codes weighted without bias for straight edges (Vossepoel and Smeulders, Computer Graphics and Image
    Processing 20(4), 1982), plus pi for an outline that runs half a pixel outside the border pixels' centres.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return math.fsum(_chain_length(contour[:, 0]) + math.pi for contour in contours)


def _chain_length(points: np.ndarray[Any, Any]) -> float:
    steps = np.roll(points, -1, axis=0) - points
    if len(points) < 2:
        return 0.0
    diagonal = np.abs(steps).sum(1) == 2
    corners = np.any(steps != np.roll(steps, 1, axis=0), axis=1).sum()
    return float(0.980 * (~diagonal).sum() + 1.406 * diagonal.sum() - 0.091 * corners)


def _hull_area(mask: Mask) -> float:
    """Area of the convex hull of the pixels' corners."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    border = np.concatenate(contours)[:, 0]
    corners = np.concatenate([np.add(border, (dx, dy)) for dx in (0, 1) for dy in (0, 1)])
    return float(cv2.contourArea(cv2.convexHull(corners.astype(np.int32))))


def size_of(mask: Mask, image: Size) -> dict[str, Any]:
    """`width`, `height` and `area` in pixels, `image_share` of the image's area."""
    x1, y1, x2, y2 = bounds(mask)
    area = int(mask.sum())
    return {"width": x2 - x1, "height": y2 - y1, "area": area, "image_share": round(area / (image[0] * image[1]), 6)}


def position_of(mask: Mask, origin: tuple[int, int], image: Size) -> dict[str, Any]:
    """`centroid` (mean of pixel indexes), `bbox`, and `where` in a grid of thirds, in the original image."""
    area = int(mask.sum())
    x = float(mask.sum(0) @ np.arange(mask.shape[1])) / area + origin[0]
    y = float(mask.sum(1) @ np.arange(mask.shape[0])) / area + origin[1]
    x1, y1, x2, y2 = bounds(mask)
    column, row = min(int(3 * x / image[0]), 2), min(int(3 * y / image[1]), 2)
    return {
        "centroid": [round(x, 2), round(y, 2)],
        "bbox": [x1 + origin[0], y1 + origin[1], x2 + origin[0], y2 + origin[1]],
        "where": f"{_ROWS[row]} {_COLUMNS[column]}",
    }
