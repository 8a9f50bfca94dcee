"""Parts of frames at the scale at which an object is followed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from python_backends.images import Pixels
from python_backends.visual_ops.alignment import Pose
from python_backends.visual_ops.appearance import Floats, to_lab
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.flow import Grey

Point = tuple[float, float]


@dataclass(frozen=True)
class View:
    """A part of a frame.

    Attributes:
        lab: from `to_lab`.
        origin: its corner in pixels of the whole frame at the same scale.
    """

    lab: Floats
    origin: Point

    def inside(self, pose: Pose) -> Pose:
        """A pose in the whole frame as one in this part."""
        return replace(pose, centre=(pose.centre[0] - self.origin[0], pose.centre[1] - self.origin[1]))

    def outside(self, pose: Pose) -> Pose:
        """The other way round."""
        return replace(pose, centre=(pose.centre[0] + self.origin[0], pose.centre[1] + self.origin[1]))


def view_of(frame: Pixels, part: Region, scale: float) -> View:
    """`part` of a frame, in its pixels, at `scale`."""
    x1, y1, x2, y2 = part
    return View(to_lab(frame[y1:y2, x1:x2], scale), (x1 * scale, y1 * scale))


def grey(frame: Pixels, part: Region, scale: float) -> Grey:
    """The same as optical flow takes it."""
    x1, y1, x2, y2 = part
    size = max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale))
    small = cv2.resize(frame[y1:y2, x1:x2], size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def window(points: Sequence[Point], side: float, scale: float, frame: Pixels) -> Region:
    """What of a frame lies within `side` of points, both at `scale`; in pixels of the frame, never empty."""
    low, high = (np.min(points, 0) - side) / scale, (np.max(points, 0) + side) / scale
    x1, y1 = (min(max(int(v), 0), limit - 1) for v, limit in zip(low, frame.shape[1::-1], strict=True))
    x2, y2 = (max(min(math.ceil(v), limit), 1) for v, limit in zip(high, frame.shape[1::-1], strict=True))
    return x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)
