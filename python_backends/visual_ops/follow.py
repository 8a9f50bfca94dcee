"""Follows an object through all frames, as closely as it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from python_backends.images import Pixels
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.frames import listed
from python_backends.visual_ops.leaving import left_by
from python_backends.visual_ops.rle import Mask
from python_backends.visual_ops.target import object_in
from python_backends.visual_ops.tracker import Sight, Tracker

GONE = 2
"""Frames without it after which an object that went through a side has left."""
GLANCE = 3
"""Of the frames from then on every so many are looked at."""


@dataclass
class _Way:
    """What one look through the frames found: sights by frame, frames not looked at, frames not searched as a whole."""

    sights: list[Sight | None]
    skipped: list[int] = field(default_factory=list)
    quick: int = 0


def follow(frames: Sequence[Pixels], box: Region, mask: Mask | None, effort: Effort, first: int) -> list[Sight | None]:
    """The object in every frame, at the lowest resolution at which that is certain.

    Args:
        frames: `[height, width, 3]` RGB of one size; the object is given in the first.
        box: around the object, roughly.
        mask: `[height, width]`, where it is known exactly.
        effort: at which resolutions; where it may leave things out, frames are searched as a whole only where optical
            flow is not believed, and after an object has left not every frame is looked at.
        first: what the caller calls the first frame.
    """
    quick = effort.ladder.stop_early
    known = object_in(frames[0], box) if mask is None else mask
    way = _Way([])
    for step in effort.steps():
        way = _look(frames, Tracker(frames[0], known, step, quick), quick)
        if effort.enough(_confidence(way.sights, (frames[0].shape[1], frames[0].shape[0]))):
            break
    if way.quick:
        effort.skip(f"search of the whole frame in {way.quick} of {len(frames) - 1} frames")
    if way.skipped:
        effort.skip(f"frames {listed([first + i for i in way.skipped])}")
    return way.sights


def _look(frames: Sequence[Pixels], tracker: Tracker, quick: bool) -> _Way:
    way = _Way([Sight(tracker.box, 1.0, 1.0)])
    size = frames[0].shape[1], frames[0].shape[0]
    while len(way.sights) < len(frames):
        if quick and _gone(way.sights, size):
            _glance(frames, tracker, way)
        else:
            way.sights.append(tracker.follow(frames[len(way.sights)]))
    way.quick = len(frames) - 1 - len(way.skipped) - tracker.searches
    return way


def _gone(sights: Sequence[Sight | None], size: tuple[int, int]) -> bool:
    return all(sight is None for sight in sights[-GONE:]) and left_by(sights, size) is not None


def _glance(frames: Sequence[Pixels], tracker: Tracker, way: _Way) -> None:
    """The next frame that is looked at, and those before it; one after the other where the object is back."""
    at = len(way.sights)
    until = min(at + GLANCE - 1, len(frames) - 1)
    if tracker.sees(frames[until], until - at):
        way.sights += [tracker.follow(frames[i]) for i in range(at, until + 1)]
        return
    tracker.passed(until + 1 - at)
    way.sights += [None] * (until + 1 - at)
    way.skipped += range(at, until)


def _confidence(sights: Sequence[Sight | None], size: tuple[int, int]) -> float:
    """Mean over the frames until it has left; 0 in those in which it is not seen."""
    last = max(i for i, sight in enumerate(sights) if sight is not None)
    until = last + 1 if left_by(sights, size) is not None else len(sights)
    seen = sights[1:until]
    return sum(0.0 if sight is None else sight.confidence for sight in seen) / len(seen) if seen else 1.0
