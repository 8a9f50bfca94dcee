"""Whether an example itself, not only something like it, is in a frame: by its pixels' colours, wherever it may be."""

from __future__ import annotations

import numpy as np

from python_backends.images import Pixels
from python_backends.visual_ops.alignment import Alignment, Pose
from python_backends.visual_ops.appearance import Appearance, Floats, to_lab, work_scale
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.search import search_inside
from python_backends.visual_ops.shape import bounds
from python_backends.visual_ops.target import object_in, small_mask

SCALE = 0.5
"""Share of the scale at which objects are followed; the full one tells no better."""
UNLIKE = 60.0
"""Mean squared distance in Lab from which on it is something else. Of 30 examples on clips, found under half of that in
93 % of the frames that showed them, and in 2 % of the others."""


class Looks:
    """An example.

    Args:
        frame: `[height, width, 3]` RGB.
        box: the example in it.
    """

    def __init__(self, frame: Pixels, box: Region) -> None:
        mask = object_in(frame, box)
        x1, y1, x2, y2 = bounds(mask)
        self._scale = SCALE * work_scale((frame.shape[1], frame.shape[0]), (x2 - x1, y2 - y1))
        lab = to_lab(frame, self._scale)
        inside = small_mask(mask, lab)
        x1, y1, x2, y2 = bounds(inside)
        self._looks = Appearance(lab[y1:y2, x1:x2].copy(), inside[y1:y2, x1:x2])
        self._alignment = Alignment(self._looks)
        self._unlike = min(UNLIKE, self._elsewhere(lab, ((x1 + x2) / 2, (y1 + y2) / 2)))

    def score(self, frame: Pixels) -> float:
        """1 where it is there as it was, 0 where nothing is more like it than what was beside it."""
        return max(0.0, 1 - self._distance(to_lab(frame, self._scale)) / self._unlike)

    def _distance(self, lab: Floats) -> float:
        """How unlike it is where it is most like it; infinite where it does not fit in."""
        hit = search_inside(self._looks, lab, (0.0, 0.0), np.inf)
        if hit is None:
            return float("inf")
        settled = self._alignment.settle(lab, Pose(hit))
        return min(
            self._looks.likeness(lab, pose.centre, pose.factor, pose.angle).distance for pose in (Pose(hit), settled)
        )

    def _elsewhere(self, lab: Floats, own: tuple[float, float]) -> float:
        """The same in its own frame, where it does not overlap its own place by half."""
        width, height = self._looks.size
        distance = self._looks.search_inside(lab).copy()
        row, column = own[1] - height / 2, own[0] - width / 2
        rows, columns = (max(0, round(at - side / 2)) for at, side in ((row, height), (column, width)))
        distance[rows : round(row + height / 2) + 1, columns : round(column + width / 2) + 1] = np.inf
        return max(float(distance.min()), 1.0)
