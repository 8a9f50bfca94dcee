"""The likeliest place of an object in a whole frame, where it was heading preferred."""

from __future__ import annotations

import numpy as np

from python_backends.visual_ops.appearance import Appearance, Floats

Point = tuple[float, float]

SAME = 75.0
"""Mean squared distance in Lab at which half of the confidence is left. Held-out clips: found <= 48 in 99 of 100."""
PULL = 0.25
"""Weight of the way from where it was heading, in units of SAME a frame's longer side squared."""
SLIVER = 0.6
"""Share of the object under which a place at the frame's border counts only where it was heading."""
CLOSE = 0.15
"""What that is, as a share of the object's longer side."""


def search(looks: Appearance, frame: Floats, heading: tuple[float, float], moving: bool, side: float) -> Point:
    """Try every place.

    Args:
        looks: the object, at the size it had.
        frame: the picture, from `to_lab`.
        heading: where its centre should be.
        moving: whether that is known from how it moved.
        side: the longer side of the whole frame, in pixels of the picture.
    """
    width, height = looks.size
    places = looks.search(frame)
    x, y = heading[0] - width / 2 - places.origin[0], heading[1] - height / 2 - places.origin[1]
    rows, columns = np.indices(places.distance.shape, np.float32)
    way = np.hypot(rows - y, columns - x)
    cost = places.distance / SAME + PULL * (way / side) ** 2
    if moving:
        cost[(places.visible < SLIVER) & (way > CLOSE * max(width, height) + 2)] = np.inf
    row, column = (int(v) for v in np.unravel_index(int(cost.argmin()), cost.shape))
    left, top = places.at(row, column)
    centre = (
        left + _vertex(places.distance[row], column) + width / 2,
        top + _vertex(places.distance[:, column], row) + height / 2,
    )
    return centre


def search_inside(looks: Appearance, frame: Floats, heading: tuple[float, float], side: float) -> Point | None:
    """As `search`, but only where all of the object is inside `frame`; nothing where that is too small."""
    width, height = looks.size
    if frame.shape[0] < height or frame.shape[1] < width:
        return None
    distance = looks.search_inside(frame)
    rows, columns = np.ogrid[: distance.shape[0], : distance.shape[1]]
    way = np.hypot(rows - (heading[1] - height / 2), columns - (heading[0] - width / 2))
    row, column = (
        int(v) for v in np.unravel_index(int((distance / SAME + PULL * (way / side) ** 2).argmin()), way.shape)
    )
    x, y = column + _vertex(distance[row], column), row + _vertex(distance[:, column], row)
    return x + width / 2, y + height / 2


def _vertex(line: Floats, at: int) -> float:
    """Where between its neighbours the minimum at `at` is: of the parabola through the three."""
    if not 0 < at < len(line) - 1:
        return 0.0
    before, here, after = (float(v) for v in line[at - 1 : at + 2])
    bend = before - 2 * here + after
    return max(-0.5, min(0.5, 0.5 * (before - after) / bend)) if np.isfinite(bend) and bend > 0 else 0.0
