"""Where optical flow carries a box from one frame to the next: median flow (Kalal et al., ICPR 2010).

Points on a grid are followed forward and then back; how far from its start a point comes out is its forward-backward
error, and the half with the lower ones votes by medians.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = 9
"""Points a side."""
INNER = 0.8
"""Share of the box's sides that the grid covers."""
LEAST = 12
"""Points that must be left."""
SWELLS = 1.3
"""Change of size from one frame to the next, at most."""
LOOK = {"winSize": (11, 11), "maxLevel": 2}

Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class Moved:
    """A box after a frame.

    Attributes:
        centre: (x, y).
        factor: its size by what it was.
        error: median forward-backward error, in pixels.
    """

    centre: tuple[float, float]
    factor: float
    error: float


def median_flow(before: Grey, now: Grey, box: tuple[float, float, float, float]) -> Moved | None:
    """Where `box` of `before` is in `now`, both `[height, width]`; nothing where too few points can be followed."""
    x1, y1, x2, y2 = box
    middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2], np.float32)
    half = INNER / 2 * np.array([x2 - x1, y2 - y1], np.float32)
    steps = np.linspace(-1, 1, GRID, dtype=np.float32)
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    points = (middle + grid * half).astype(np.float32)[:, None]
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, now, points, None, **LOOK)  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(now, before, there, None, **LOOK)  # type: ignore[call-overload]
    good = (found[:, 0] > 0) & (again[:, 0] > 0)
    if good.sum() < LEAST:
        return None
    errors = np.linalg.norm(back - points, axis=2)[:, 0]
    error = float(np.median(errors[good]))
    good &= errors <= error
    start, end = points[good, 0], there[good, 0]
    factor = _growth(start, end)
    if not 1 / SWELLS <= factor <= SWELLS:
        return None
    x, y = (float(v) for v in middle + np.median(end - start, axis=0))
    return Moved((x, y), factor, error)


def _growth(start: NDArray[np.float32], end: NDArray[np.float32]) -> float:
    """Median ratio of the distances between points."""
    rows, columns = np.triu_indices(len(start), 1)
    was = np.linalg.norm(start[rows] - start[columns], axis=1)
    now = np.linalg.norm(end[rows] - end[columns], axis=1)
    return float(np.median(now / np.maximum(was, 1e-3))) if len(rows) else 1.0
