"""Follows an object through frames: by its looks over the whole frame, and by optical flow.

Correlation filters and optical flow lose what moves by half of its size between two frames; a search of the whole frame
does not, but knows nothing of turning and growing. Both propose a place, and looks decide; these are learned slowly,
and only where the object is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from python_backends.images import Pixels
from python_backends.visual_ops.appearance import Appearance, Floats, to_lab, work_scale
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.flat_region import find_flat_region
from python_backends.visual_ops.flow import Flow, Moved
from python_backends.visual_ops.foreground import find_foreground
from python_backends.visual_ops.rle import Mask
from python_backends.visual_ops.shape import bounds

Box = tuple[float, float, float, float]
Point = tuple[float, float]

SAME = 75.0
"""Mean squared distance in Lab at which half of the confidence is left. Held-out clips: found <= 48 in 99 of 100."""
NEAR = 4.0
"""How much worse a whole object may look that is where it was heading."""
FAR = 0.5
"""The same for one that is somewhere else."""
REACH = 0.6
"""What "near" is, as a share of the object's longer side."""
PULL = 0.25
"""Weight of the way from where it was heading, in units of SAME a frame's longer side squared."""
SLIVER = 0.6
"""Share of the object under which a place at the frame's border counts only where it was heading."""
CLOSE = 0.15
"""What that is, as a share of the object's longer side."""
FITS = 0.4
"""Overlap with the given box from which on a flat region around its middle is the object."""
WHOLE = 0.99
FLOW = 1.5
"""How much worse it may look where optical flow leads than at the best place: flow knows of turning and of light."""
LEARN = 0.15
STEPS = (0.95, 1.0, 1.05)
"""Changes of size tried from frame to frame."""
SHIFTS = ((0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0))
"""Moves tried with each, in pixels of the work scale."""
BETTER = 0.9
"""A changed size or place must look this much better."""


@dataclass(frozen=True)
class Sight:
    """An object in a frame, in pixels of the original; the box may reach out of the frame.

    Attributes:
        box: of the object's own pixels.
        confidence: 1 where it looks as before, 0.5 where it hardly does.
        visible: share of it inside the frame.
    """

    box: Box
    confidence: float
    visible: float


@dataclass(frozen=True)
class _Place:
    """Where an object may be, in pixels of the work scale.

    Attributes:
        centre: (x, y).
        factor: its size by that in the first frame.
        distance: how unlike it is there.
        visible: share of it inside the frame.
        near: whether it was heading there.
    """

    centre: Point
    factor: float
    distance: float
    visible: float
    near: bool

    @property
    def accepted(self) -> bool:
        """Whether that is the object."""
        allowed = (NEAR if self.visible > WHOLE else 1.0) if self.near else FAR
        return self.distance <= SAME * allowed


class Tracker:
    """One object.

    Args:
        frame: the first frame, `[height, width, 3]` RGB.
        box: around the object, roughly.
        mask: `[height, width]` of the frame, where it is known exactly.
    """

    def __init__(self, frame: Pixels, box: Region, mask: Mask | None = None) -> None:
        height, width = frame.shape[:2]
        self._scale = work_scale((width, height), (box[2] - box[0], box[3] - box[1]))
        lab = to_lab(frame, self._scale)
        inside = _small(_object(frame, box) if mask is None else mask, lab)
        x1, y1, x2, y2 = bounds(inside)
        self._looks = Appearance(lab[y1:y2, x1:x2], inside[y1:y2, x1:x2])
        self._flow = Flow(frame)
        self._last = _Place(((x1 + x2) / 2, (y1 + y2) / 2), 1.0, 0.0, 1.0, True)
        self._velocity: Point | None = None
        self._missing = 0

    @property
    def box(self) -> Box:
        """Where it was seen last."""
        (x, y), factor = self._last.centre, self._last.factor
        width, height = (factor * side / 2 for side in self._looks.size)
        s = self._scale
        return (x - width) / s, (y - height) / s, (x + width) / s, (y + height) / s

    def follow(self, frame: Pixels) -> Sight | None:
        """The object in the next frame, or nothing where it is not seen."""
        lab = to_lab(frame, self._scale)
        moved = self._flow.follow(frame, self.box if not self._missing else None)
        found = self._searched(lab)
        flowed = self._flowed(lab, moved)
        if flowed is not None and flowed.accepted and flowed.distance <= FLOW * found.distance + 0.1 * SAME:
            found = flowed
        if not found.accepted:
            self._missing += 1
            return None
        if found.visible > WHOLE:
            found = self._fitted(lab, found)
        steps = self._missing + 1
        (x, y), (was_x, was_y) = found.centre, self._last.centre
        self._velocity = ((x - was_x) / steps, (y - was_y) / steps)
        self._last, self._missing = found, 0
        return Sight(self.box, round(1 / (1 + found.distance / SAME), 4), found.visible)

    def _heading(self) -> Point:
        vx, vy = self._velocity or (0.0, 0.0)
        steps = self._missing + 1
        return self._last.centre[0] + steps * vx, self._last.centre[1] + steps * vy

    def _searched(self, lab: Floats) -> _Place:
        """The likeliest place in the whole frame, at the size it had."""
        factor = self._last.factor
        looks = self._looks.resized(factor)
        width, height = looks.size
        places = looks.search(lab)
        heading = self._heading()
        x, y = heading[0] - width / 2 - places.origin[0], heading[1] - height / 2 - places.origin[1]
        rows, columns = np.indices(places.distance.shape, np.float32)
        way = np.hypot(rows - y, columns - x)
        cost = places.distance / SAME + PULL * (way / max(lab.shape[:2])) ** 2
        if self._velocity is not None:
            cost[(places.visible < SLIVER) & (way > CLOSE * max(width, height) + 2)] = np.inf
        row, column = (int(v) for v in np.unravel_index(int(cost.argmin()), cost.shape))
        left, top = places.at(row, column)
        centre = (
            left + _vertex(places.distance[row], column) + width / 2,
            top + _vertex(places.distance[:, column], row) + height / 2,
        )
        near = self._velocity is None or float(way[row, column]) <= REACH * max(width, height) + 1
        return _Place(centre, factor, float(places.distance[row, column]), float(places.visible[row, column]), near)

    def _flowed(self, lab: Floats, moved: Moved | None) -> _Place | None:
        """Where optical flow has carried it to."""
        if moved is None:
            return None
        centre = moved.centre[0] * self._scale, moved.centre[1] * self._scale
        factor = self._last.factor * moved.factor
        distance, visible = self._looks.distance(lab, centre, factor)
        return _Place(centre, factor, distance, visible, True) if visible > WHOLE else None

    def _fitted(self, lab: Floats, place: _Place) -> _Place:
        """Place and size where it fits better still; there its looks are learned."""
        best = place
        for step in STEPS:
            for dx, dy in SHIFTS:
                centre, factor = (place.centre[0] + dx, place.centre[1] + dy), place.factor * step
                distance, visible = self._looks.distance(lab, centre, factor)
                if visible > WHOLE and distance < BETTER * best.distance - 1:
                    best = replace(place, centre=centre, factor=factor, distance=distance, visible=visible)
        patch, _ = self._looks.patch(lab, best.centre, best.factor)
        self._looks.learn(patch, LEARN)
        return best


def _object(frame: Pixels, box: Region) -> Mask:
    """The object in a box that may be a little off: a flat one around its middle, else what GrabCut finds."""
    flat = find_flat_region(frame, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    if flat is not None:
        whole = _placed(flat.mask, flat.window[:2], frame)
        if _overlap(bounds(whole), box) >= FITS:
            return whole
    found = find_foreground(frame, box)
    return _placed(found.mask, found.origin, frame)


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


def _small(mask: Mask, lab: Floats) -> Mask:
    """`mask` at the scale of `lab`, without its rim, where colours mix; at least one pixel."""
    share = cv2.resize(mask.astype(np.float32), lab.shape[1::-1], interpolation=cv2.INTER_AREA)
    inside = (share >= 0.5).astype(np.uint8)
    eroded = cv2.erode(inside, np.ones((3, 3), np.uint8))
    for candidate in (eroded, inside):
        if candidate.sum() >= 9:
            return np.asarray(candidate > 0, np.bool_)
    return np.asarray(share >= share.max(), np.bool_)


def _vertex(line: Floats, at: int) -> float:
    """Where between its neighbours the minimum at `at` is: of the parabola through the three."""
    if not 0 < at < len(line) - 1:
        return 0.0
    before, here, after = (float(v) for v in line[at - 1 : at + 2])
    bend = before - 2 * here + after
    return max(-0.5, min(0.5, 0.5 * (before - after) / bend)) if np.isfinite(bend) and bend > 0 else 0.0


def track(frames: Sequence[Pixels], box: Region, mask: Mask | None = None) -> tuple[Sight, list[Sight | None]]:
    """The object in the first frame, and in each of the later ones."""
    tracker = Tracker(frames[0], box, mask)
    return Sight(tracker.box, 1.0, 1.0), [tracker.follow(frame) for frame in frames[1:]]
