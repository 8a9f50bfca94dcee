"""Where a film is cut, and where in a shot something comes or goes at once.

At a cut all places of the picture change, and by far more than in the steps around it. Where something comes or goes a
few places do that; what moves changes its places in the steps around too, and so does what is there for a frame or two,
which is not told from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels

PLACES = (24, 18)
"""Places that are compared, across and down."""
CUT = 4.0
"""Mean distance in Lab of the places before and after a cut, at least."""
SUDDEN = 2.0
"""How much more that must be than it is around."""
AROUND = 2
"""Steps on each side that are compared."""
FEW = 5
"""Places in which something comes or goes, at least."""
EVENT = 5.0
"""Distance in Lab beyond `SUDDEN` times that of the steps before and after by which they change."""

Looks = NDArray[np.float32]


@dataclass(frozen=True)
class Piece:
    """Frames `[start, end)` of one shot within which nothing comes or goes at once.

    Attributes:
        start: first frame.
        end: frame after the last.
        still: whether the last frame looks like the first.
    """

    start: int
    end: int
    still: bool


def shots(frames: Sequence[Pixels]) -> list[tuple[int, int]]:
    """Spans `[start, end)` of frames between cuts, all frames together.

    Args:
        frames: `[height, width, 3]` RGB.
    """
    steps = _steps([_look(frame) for frame in frames])
    edges = [0, *_cuts(steps), len(frames)]
    return list(pairwise(edges))


def pieces(frames: Sequence[Pixels]) -> list[Piece]:
    """All frames, parted at cuts and where something comes or goes.

    Args:
        frames: `[height, width, 3]` RGB.
    """
    looks = [_look(frame) for frame in frames]
    steps = _steps(looks)
    cuts = _cuts(steps)
    edges = sorted({0, *cuts, *_events(steps, cuts), len(frames)})
    return [Piece(a, b, _still(looks[a], looks[b - 1])) for a, b in pairwise(edges)]


def _steps(looks: Sequence[Looks]) -> list[Looks]:
    """How far each place is from what it was, from each frame to the next."""
    return [np.asarray(np.linalg.norm(b - a, axis=2), np.float32) for a, b in pairwise(looks)]


def _cuts(steps: Sequence[Looks]) -> list[int]:
    """First frames after cuts."""
    means = [float(step.mean()) for step in steps]
    return [i + 1 for i, mean in enumerate(means) if mean > CUT and mean > SUDDEN * (1 + _around(means, i))]


def _around(means: Sequence[float], i: int) -> float:
    """The median around a step."""
    near = [*means[max(i - AROUND, 0) : i], *means[i + 1 : i + 1 + AROUND]]
    return float(np.median(near)) if near else 0.0


def _events(steps: Sequence[Looks], cuts: Sequence[int]) -> list[int]:
    """First frames after something has come or gone within a shot."""
    found = []
    for i, step in enumerate(steps):
        beside = [steps[j] for j in (i - 1, i + 1) if 0 <= j < len(steps) and j + 1 not in cuts]
        usual = np.max(beside, axis=0) if beside else np.zeros_like(step)
        if _few(step - SUDDEN * usual) > EVENT:
            found.append(i + 1)
    return found


def _still(first: Looks, last: Looks) -> bool:
    return _few(np.linalg.norm(last - first, axis=2)) <= EVENT


def _few(places: NDArray[np.float32]) -> float:
    """What the `FEW` places that have most all have."""
    return float(np.partition(places.ravel(), -FEW)[-FEW])


def _look(frame: Pixels) -> Looks:
    """Mean colours in Lab of a frame's places, of pixels enough for that."""
    every = max(1, min(frame.shape[0] // (8 * PLACES[1]), frame.shape[1] // (8 * PLACES[0])))
    small = cv2.resize(np.ascontiguousarray(frame[::every, ::every]), PLACES, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
