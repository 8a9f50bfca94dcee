"""Through which side of the picture an object has gone."""

from __future__ import annotations

from collections.abc import Sequence

from python_backends.visual_ops.arguments import Size
from python_backends.visual_ops.tracker import Box, Sight

STILL = 0.01
"""Speed a frame, as a share of the frame's shorter side, up to which an object is not going anywhere."""

SOON = 3
"""Frames within which its way must lead out; what is further off has vanished behind something, or at a cut."""


def left_by(sights: Sequence[Sight | None], size: Size) -> str | None:
    """The side through which an object has gone by the end: the one that its way from the last sights on leads out of.

    Args:
        sights: of every frame, the first one not nothing.
        size: (width, height) of a frame.
    """
    seen = [(i, sight) for i, sight in enumerate(sights) if sight is not None]
    last, sight = seen[-1]
    if last == len(sights) - 1:
        return None
    before = [entry for entry in seen[-3:-1] if last - entry[0] <= 3]
    steps = [_speed(entry[1], sight, last - entry[0]) for entry in before]
    vx, vy = (sum(step[i] for step in steps) / len(steps) for i in (0, 1)) if steps else (0.0, 0.0)
    # Frames until it is out, by side; what is half out already leaves there even if it seems to stand still.
    x1, y1, x2, y2 = sight.box
    ways = {"left": (x2, -vx), "right": (size[0] - x1, vx), "top": (y2, -vy), "bottom": (size[1] - y1, vy)}
    still = STILL * min(size)
    times = {side: way / speed for side, (way, speed) in ways.items() if speed > still}
    if times:
        side = min(times, key=lambda name: times[name])
        soon = min(len(sights) - last + 1, SOON)
        return side if times[side] <= soon or _beyond(sight.box, size)[side] > 0 else None
    out = _beyond(sight.box, size)
    side = max(out, key=lambda name: out[name])
    return side if out[side] > 0 else None


def centre(box: Box) -> tuple[float, float]:
    """(x, y) of a box's middle."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _speed(a: Sight, b: Sight, frames: int) -> tuple[float, float]:
    (ax, ay), (bx, by) = centre(a.box), centre(b.box)
    return (bx - ax) / frames, (by - ay) / frames


def _beyond(box: Box, size: Size) -> dict[str, float]:
    """How far a box reaches out of the frame, by side."""
    return {"left": -box[0], "right": box[2] - size[0], "top": -box[1], "bottom": box[3] - size[1]}
