"""Where optical flow carries a box: median flow (Kalal et al., ICPR 2010), from one frame to the next."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels

SIDE = 480
"""Longer side of the frames that are compared."""
LEAST = 12.0
"""Sides of the box at that scale, at least."""
SWELLS = 1.3
"""Change of size from one frame to the next, at most."""


@dataclass(frozen=True)
class Moved:
    """Centre of a box after a frame, in pixels of the original, and its size by what it was."""

    centre: tuple[float, float]
    factor: float


class Flow:
    """Remembers the frame before.

    Args:
        frame: the first one, `[height, width, 3]` RGB.
    """

    def __init__(self, frame: Pixels) -> None:
        self._scale = min(1.0, SIDE / max(frame.shape[:2]))
        self._before = self._small(frame)

    def follow(self, frame: Pixels, box: tuple[float, float, float, float] | None) -> Moved | None:
        """Where the box has gone, or nothing where flow does not tell (or no box is given)."""
        before, now = self._before, self._small(frame)
        self._before = now
        if box is None:
            return None
        height, width = now.shape[:2]
        x1, y1, x2, y2 = (side * self._scale for side in box)
        inside = x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height
        if not inside or min(x2 - x1, y2 - y1) < LEAST:
            return None
        tracker = cv2.legacy.TrackerMedianFlow_create()  # type: ignore[attr-defined]
        tracker.init(before, (x1, y1, x2 - x1, y2 - y1))
        found, (left, top, wide, high) = tracker.update(now)
        factor = wide / (x2 - x1)
        if not found or not 1 / SWELLS <= factor <= SWELLS:
            return None
        return Moved(((left + wide / 2) / self._scale, (top + high / 2) / self._scale), float(factor))

    def _small(self, frame: Pixels) -> NDArray[np.uint8]:
        """The frame at the scale that is compared."""
        size = (max(1, round(frame.shape[1] * self._scale)), max(1, round(frame.shape[0] * self._scale)))
        return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
