"""Follows an object through frames.

The quick way: optical flow from the frame before, and an alignment of the object's looks near where that leads. It is
taken where the flow's forward-backward error is low and the object looks as it did. Else the careful way: a search of
the whole frame, which does not lose what moves by half of its size between two frames. Both propose a place, and looks
decide; these are learned slowly, and only where the object is whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from python_backends.images import Pixels
from python_backends.visual_ops.alignment import Alignment, Pose
from python_backends.visual_ops.appearance import Appearance, Likeness, to_lab, work_scale
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.flow import Moved, median_flow
from python_backends.visual_ops.rle import Mask
from python_backends.visual_ops.search import SAME, search, search_inside
from python_backends.visual_ops.shape import bounds
from python_backends.visual_ops.silhouette import Silhouette
from python_backends.visual_ops.target import hull, small_mask
from python_backends.visual_ops.view import View, grey, view_of, window

Box = tuple[float, float, float, float]
Point = tuple[float, float]

NEAR = 4.0
"""How much worse a whole object may look that is where it was heading."""
FAR = 0.5
"""The same for one that is somewhere else."""
USUAL, FARTHEST = 1.2, 1.3
"""The same by how unlike it has been, and at most."""
REACH = 0.6
"""What "near" is, as a share of the object's longer side."""
WHOLE = 0.99
LEARN = 0.15
LEARNS = 0.6
"""Share of it that must be alike for its looks to be learned."""
STEPS = (0.95, 1.0, 1.05)
"""Changes of size tried from frame to frame."""
SHIFTS = ((0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0))
"""Moves tried with each, in pixels of the work scale."""
BETTER = 0.9
"""A changed size or place must look this much better."""
SUPPORT = 0.35
"""Share of an object that must be alike where it was heading: the rest may be behind something."""
SURE = 0.8
"""The same on the quick way."""
SHAPE = 0.85
"""Share of shape and surroundings that must be as they should be, of what has one colour."""
ERROR = 1.0
"""Forward-backward error up to which flow is believed, in pixels of the work scale."""
COARSE = 0.5
"""Share of the work scale at which the whole frame is searched on the quick way."""
LEAST_COARSE = 5
"""Shorter side of an object at that scale, at least."""
AROUND = 1.0
"""Surroundings that the quick way looks at on each side, as a share of the object's longer side."""


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
    """Where an object may be, in pixels of the work scale, how it looks there, whether it was heading there."""

    pose: Pose
    like: Likeness
    near: bool


class Tracker:
    """One object.

    Args:
        frame: the first frame, `[height, width, 3]` RGB.
        mask: `[height, width]` of the frame, the object.
        share: of the resolution at which frames are looked at in full.
        quick: whether the careful way may be left out.
    """

    def __init__(self, frame: Pixels, mask: Mask, share: float = 1.0, quick: bool = False) -> None:
        height, width = frame.shape[:2]
        box = bounds(mask)
        self._scale = work_scale((width, height), (box[2] - box[0], box[3] - box[1])) * share
        self._quick, self._side = quick, self._scale * max(width, height)
        lab = to_lab(frame, self._scale)
        inside = small_mask(mask, lab)
        x1, y1, x2, y2 = bounds(inside)
        self._looks = Appearance(lab[y1:y2, x1:x2], inside[y1:y2, x1:x2])
        self._alignment: Alignment | Silhouette = Alignment(self._looks)
        if not self._alignment.textured:
            self._alignment = Silhouette(lab, inside, (x1, y1, x2, y2))
        self._hull = hull(inside[y1:y2, x1:x2])
        self._before = frame
        self._pose = Pose(((x1 + x2) / 2, (y1 + y2) / 2))
        self._velocity: Point | None = None
        self._missing, self._usual = 0, 0.0
        self.searches = 0

    @property
    def box(self) -> Box:
        """Where it was seen last."""
        cos, sin = math.cos(self._pose.angle), math.sin(self._pose.angle)
        turned = self._pose.factor * self._hull @ np.array([[cos, sin], [-sin, cos]]) + self._pose.centre
        (x1, y1), (x2, y2) = turned.min(0) / self._scale, turned.max(0) / self._scale
        return float(x1), float(y1), float(x2), float(y2)

    def follow(self, frame: Pixels) -> Sight | None:
        """The object in the next frame, or nothing where it is not seen."""
        before, self._before = self._before, frame
        view: View | None = None
        found: _Place | None = None
        if not self._missing:
            view, found, sure = self._flowed(before, frame)
            if not (self._quick and sure):
                found = None if found is None or not self._accepted(found) else found
                view, found = self._careful(frame, found)
        else:
            view, found = self._careful(frame, None)
        if not self._accepted(found):
            self._missing += 1
            return None
        if found.like.visible > WHOLE and found.like.support >= LEARNS:
            found = self._learned(view, found)
        steps = self._missing + 1
        (x, y), (was_x, was_y) = found.pose.centre, self._pose.centre
        self._velocity = ((x - was_x) / steps, (y - was_y) / steps)
        self._pose, self._missing = found.pose, 0
        return Sight(self.box, round(1 / (1 + found.like.distance / SAME), 4), found.like.visible)

    def sees(self, frame: Pixels, later: int) -> bool:
        """Whether it is back in a frame so many frames after the next one; nothing else changes."""
        self._missing += later
        _, place = self._careful(frame, None)
        self._missing -= later
        return self._accepted(place)

    def passed(self, frames: int) -> None:
        """So many frames were without it."""
        self._missing += frames

    def _careful(self, frame: Pixels, flowed: _Place | None) -> tuple[View, _Place]:
        """The likeliest place of all, of which flow may have found one."""
        self.searches += 1
        coarse = COARSE if self._quick and self._pose.factor * min(self._looks.size) * COARSE >= LEAST_COARSE else 1.0
        whole = to_lab(frame, self._scale * coarse)
        looks = self._looks.resized(self._pose.factor * coarse)
        x, y = self._heading()
        hit = search(looks, whole, (x * coarse, y * coarse), self._velocity is not None, self._side * coarse)
        pose = replace(self._pose, centre=(hit[0] / coarse, hit[1] / coarse))
        around = (0, 0, frame.shape[1], frame.shape[0]) if coarse == 1 else self._window(frame, pose)
        view = View(whole, (0.0, 0.0)) if coarse == 1 else view_of(frame, around, self._scale)
        found = self._settled(view, pose, self._is_near(pose))
        if flowed is not None and flowed.like.distance <= 1.25 * found.like.distance + 0.1 * SAME:
            view = view_of(frame, self._window(frame, flowed.pose), self._scale)
            return view, replace(flowed, like=self._like(view, flowed.pose))
        return view, found

    def _accepted(self, place: _Place) -> bool:
        """Whether that is the object."""
        like = place.like
        if place.near and like.visible > WHOLE:
            return like.distance <= SAME * NEAR and like.support >= SUPPORT
        return like.distance <= (SAME if place.near else min(max(FAR * SAME, USUAL * self._usual), FARTHEST * SAME))

    def _heading(self) -> Point:
        vx, vy = self._velocity or (0.0, 0.0)
        steps = self._missing + 1
        return self._pose.centre[0] + steps * vx, self._pose.centre[1] + steps * vy

    def _is_near(self, pose: Pose) -> bool:
        """Whether it was heading there."""
        reach = REACH * self._pose.factor * max(self._looks.size) + 1
        return self._velocity is None or math.dist(pose.centre, self._heading()) <= reach

    def _flowed(self, before: Pixels, frame: Pixels) -> tuple[View, _Place, bool]:
        """Where optical flow has carried it to, or else where it was heading; and whether that is certain."""
        around = self._window(frame, self._pose, replace(self._pose, centre=self._heading()))
        view = view_of(frame, around, self._scale)
        moved = self._moved(before, frame, around)
        if moved is not None and moved.error <= ERROR:
            pose = view.outside(Pose(moved.centre, self._pose.factor * moved.factor, self._pose.angle))
        else:
            pose = replace(self._pose, centre=self._found_near(view))
        place = self._settled(view, pose, self._is_near(pose))
        like = place.like
        sure = like.visible > WHOLE and like.support >= SURE and like.distance <= SAME
        if sure and isinstance(self._alignment, Silhouette):
            sure = self._alignment.support(view.lab, view.inside(place.pose)) >= SHAPE
        return view, place, sure

    def _moved(self, before: Pixels, frame: Pixels, around: Region) -> Moved | None:
        """What optical flow says, in pixels of the window; nothing for what has no looks inside."""
        if isinstance(self._alignment, Silhouette):
            return None
        width, height = (self._pose.factor * side / 2 for side in self._looks.size)
        x, y = (middle - self._scale * corner for middle, corner in zip(self._pose.centre, around, strict=False))
        box = x - width, y - height, x + width, y + height
        was, now = (grey(one, around, self._scale) for one in (before, frame))
        inside = box[0] >= 0 and box[1] >= 0 and box[2] <= now.shape[1] and box[3] <= now.shape[0]
        return median_flow(was, now, box) if inside else None

    def _found_near(self, view: View) -> Point:
        """The likeliest centre in a part of the frame."""
        heading = view.inside(replace(self._pose, centre=self._heading())).centre
        looks = self._looks.resized(self._pose.factor)
        hit = search_inside(looks, view.lab, heading, self._side)
        return self._heading() if hit is None else view.outside(Pose(hit)).centre

    def _window(self, frame: Pixels, *poses: Pose) -> Region:
        """Around poses, in pixels of the frame."""
        side = (0.5 + AROUND) * self._pose.factor * max(self._looks.size)
        return window([pose.centre for pose in poses], side, self._scale, frame)

    def _like(self, view: View, pose: Pose) -> Likeness:
        here = view.inside(pose)
        return self._looks.likeness(view.lab, here.centre, here.factor, here.angle)

    def _settled(self, view: View, pose: Pose, near: bool) -> _Place:
        """The place where it fits best around `pose`."""
        best = _Place(pose, self._like(view, pose), near)
        rigid = best.like.support < 0.5 or best.like.visible <= WHOLE
        aligned = view.outside(self._alignment.settle(view.lab, view.inside(pose), rigid))
        like = self._like(view, aligned)
        flat = isinstance(self._alignment, Silhouette)
        if (like.visible > WHOLE) >= (best.like.visible > WHOLE) and (
            like.distance < best.like.distance or (flat and like.distance < SAME)
        ):
            best = _Place(aligned, like, near)
        return best

    def _learned(self, view: View, place: _Place) -> _Place:
        here = view.inside(place.pose)
        self._usual += LEARN * (place.like.distance - self._usual)
        patch, _ = self._looks.patch(view.lab, here.centre, here.factor, here.angle)
        self._looks.learn(patch, LEARN)
        if isinstance(self._alignment, Silhouette):
            self._alignment.learn(patch, self._looks.weight)
        else:
            self._alignment = Alignment(self._looks)
        return place
