"""TRACK_OBJECT: where an object is in every frame, how it moves, and through which side it goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pixelis.errors import InvalidOperation
from python_backends.images import Pixels
from python_backends.visual_ops import rle
from python_backends.visual_ops.arguments import Region, Size, TrackArguments, clipped, parse
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.follow import follow
from python_backends.visual_ops.frames import same_size
from python_backends.visual_ops.leaving import centre, left_by
from python_backends.visual_ops.rle import Mask
from python_backends.visual_ops.shape import bounds
from python_backends.visual_ops.tracker import Box, Sight


def track_object(
    images: Sequence[Pixels], first: int, arguments: dict[str, Any], effort: Effort | None = None
) -> dict[str, Any]:
    """Follow an object through the frames from `first` on.

    Args:
        images: all frames, `[height, width, 3]` RGB, of one size.
        first: the frame in which the object is given.
        arguments: `init_bbox` or `init_mask` (COCO RLE) in that frame; `fps`.
        effort: how hard to look.

    Returns:
        For every frame, nothing before the first: `boxes` (what of the given box is inside the frame, or null) and
        `confidences`. `lost`: spans `[start, end)` of frames without it; `recovered`: frames in which it is back.
        `distance`: pixels along the path of its centre. `velocity`: `[vx, vy]` pixels a second from its first to its
        last sight.
        `left_by`: the side of the frame through which it had gone by the end; null while it is there, or when it
        vanished in the middle. `fps` as used.

    Raises:
        InvalidOperation: fewer than two frames, frames of different sizes, neither or both of box and mask.
    """
    wanted = parse(TrackArguments, arguments, "TRACK_OBJECT")
    frames = images[first:]
    if len(frames) < 2:
        raise InvalidOperation(
            f"TRACK_OBJECT has {len(frames)} frame to look at.",
            mend="Send at least 2 frames, and begin before the last.",
        )
    size = same_size(images, "TRACK_OBJECT")
    box, mask = _given(wanted, size)
    sights = follow(frames, box, mask, Effort() if effort is None else effort, first)
    start = sights[0]
    assert start is not None
    boxes = [None if sight is None else _visible(_moved(box, start, sight), size) for sight in sights]
    seen = [(i, centre(sight.box)) for i, sight in enumerate(sights) if sight is not None]
    lost = _spans([sight is None for sight in sights])
    return {
        "boxes": [None] * first + boxes,
        "confidences": [0.0] * first + [0.0 if sight is None else sight.confidence for sight in sights],
        "distance": round(math.fsum(math.dist(a[1], b[1]) for a, b in pairwise(seen)), 2),
        "velocity": _velocity(seen, wanted.fps),
        "lost": [[start + first, end + first] for start, end in lost],
        "recovered": [end + first for _, end in lost if end < len(frames)],
        "left_by": left_by(sights, size),
        "fps": wanted.fps,
    }


def _given(wanted: TrackArguments, size: Size) -> tuple[Region, Mask | None]:
    if (wanted.init_bbox is None) == (wanted.init_mask is None):
        raise InvalidOperation("TRACK_OBJECT takes either `init_bbox` or `init_mask`.")
    if wanted.init_mask is not None:
        mask = rle.decode(wanted.init_mask, size)
        return bounds(mask), mask
    assert wanted.init_bbox is not None
    return clipped(wanted.init_bbox, size, wanted.normalized, "Box"), None


def _moved(box: Region, start: Sight, now: Sight) -> Box:
    """The given box, moved and scaled as the object's own has been."""
    sx = (now.box[2] - now.box[0]) / (start.box[2] - start.box[0])
    sy = (now.box[3] - now.box[1]) / (start.box[3] - start.box[1])
    x, y = now.box[0] + (box[0] - start.box[0]) * sx, now.box[1] + (box[1] - start.box[1]) * sy
    return x, y, x + (box[2] - box[0]) * sx, y + (box[3] - box[1]) * sy


def _visible(box: Box, size: Size) -> list[float] | None:
    x1, y1, x2, y2 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(size[0])), min(box[3], float(size[1]))
    return [round(v, 2) for v in (x1, y1, x2, y2)] if x1 < x2 and y1 < y2 else None


def _velocity(seen: Sequence[tuple[int, tuple[float, float]]], fps: float) -> list[float]:
    (start, a), (end, b) = seen[0], seen[-1]
    if start == end:
        return [0.0, 0.0]
    return [round((b[i] - a[i]) * fps / (end - start), 2) for i in (0, 1)]


def _spans(missing: Sequence[bool]) -> list[tuple[int, int]]:
    """Runs of true, half-open."""
    edges = [i for i in range(len(missing) + 1) if (i < len(missing) and missing[i]) != (i > 0 and missing[i - 1])]
    return list(zip(edges[::2], edges[1::2], strict=True))
