"""Clips for the tests of tracking: a shape that leaves the picture, over a still background with other shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]

PHOTOS = ("coffee", "chelsea", "astronaut", "rocket")
PAINTS = ((214, 40, 40), (250, 220, 50), (40, 160, 70), (45, 85, 210), (130, 60, 180), (245, 130, 190), (30, 30, 30))
SIDES = ("left", "right", "top", "bottom")


@dataclass(frozen=True)
class Clip:
    """Frames `[480, 480, 3]`, compressed and opened again; the shape's box in each, and the side it leaves by."""

    frames: list[Pixels]
    boxes: list[Box]
    side: str | None


def clip(seed: int, leaves: bool = True, size: int = 480) -> Clip:
    """A shape of 15 to 30 % of the picture's side that moves by 10 to 25 % of it a frame, until it is out."""
    rng = np.random.default_rng(seed)
    back = _background(rng, size)
    side = float(rng.uniform(0.15, 0.3) * size)
    count = int(rng.integers(8, 13))
    if leaves:
        start, step = _way_out(rng, side, size, count)
    else:
        start = rng.uniform(side / 2 + 2, size - side / 2 - 2, 2)
        step = (size / 2 - start) / count
    paints = rng.permutation(len(PAINTS))
    for i in range(int(rng.integers(0, 3))):
        other = rng.uniform(0.15, 0.85, 2) * size
        _draw(back, other, rng.uniform(0.1, 0.2) * size, int(rng.integers(4)), PAINTS[paints[i + 1]])
    kind, paint = int(rng.integers(4)), PAINTS[paints[0]]
    frames: list[Pixels] = []
    boxes: list[Box] = []
    for i in range(count):
        frame, centre = back.copy(), start + i * step
        _draw(frame, centre, side, kind, paint)
        frames.append(np.asarray(cv2.imdecode(cv2.imencode(".jpg", frame)[1], cv2.IMREAD_COLOR), np.uint8))
        (x1, y1), (x2, y2) = centre - side / 2, centre + side / 2
        boxes.append((float(x1), float(y1), float(x2), float(y2)))
    return Clip(frames, boxes, _exit(boxes, size))


def visible(box: Box, size: int = 480) -> float:
    """Share of a box inside the picture."""
    wide = max(0.0, min(box[2], size) - max(box[0], 0))
    high = max(0.0, min(box[3], size) - max(box[1], 0))
    return wide * high / ((box[2] - box[0]) * (box[3] - box[1]))


def overlap(a: Box | list[float], b: Box, size: int = 480) -> float:
    """Intersection over union of `a` and what of `b` is inside the picture."""
    b = (max(b[0], 0.0), max(b[1], 0.0), min(b[2], float(size)), min(b[3], float(size)))
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _way_out(
    rng: np.random.Generator, side: float, size: int, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Start and step: whole for two frames at least, then out by one side, not a corner, before the last frame."""
    while True:
        start = rng.uniform(side / 2 + 2, size - side / 2 - 2, 2)
        angle = int(rng.integers(4)) * math.pi / 2 + rng.uniform(-0.4, 0.4)
        step = rng.uniform(0.1, 0.25) * size * np.array([math.cos(angle), math.sin(angle)])
        path = start + np.arange(count)[:, None] * step
        away = np.abs(path - size / 2) - size / 2  # how far the centre is beyond the nearer side, by axis
        out = np.flatnonzero((away >= side / 2).any(1))
        whole = (away[:2] <= -side / 2).all()
        if whole and len(out) and np.sort(away[out[0]])[0] < -side / 4:
            return start, step


def _exit(boxes: list[Box], size: int) -> str | None:
    """The side that the shape has gone through when it is first out of sight; nothing if it never is."""
    for x1, y1, x2, y2 in boxes:
        beyond = {"left": -x2, "right": x1 - size, "top": -y2, "bottom": y1 - size}
        if max(beyond.values()) >= 0:
            return max(beyond, key=lambda name: beyond[name])
    return None


def _background(rng: np.random.Generator, size: int) -> Pixels:
    if rng.random() < 0.5:
        return np.full((size, size, 3), rng.integers(80, 220, 3), np.uint8)
    photo = getattr(skimage.data, PHOTOS[int(rng.integers(len(PHOTOS)))])()
    return np.asarray(cv2.resize(photo[: min(photo.shape[:2]), : min(photo.shape[:2])], (size, size)), np.uint8)


def _draw(canvas: Pixels, centre: NDArray[np.float64], side: float, kind: int, paint: tuple[int, int, int]) -> None:
    corners = (48, 4, 3, 10)[kind]
    angles = np.linspace(0, 2 * math.pi, corners, endpoint=False) - math.pi / 2 + (math.pi / 4 if corners == 4 else 0)
    radii = np.where(np.arange(corners) % 2, 0.45, 1.0) if corners == 10 else np.ones(corners)
    points = centre + (radii * side / 2)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    fixed = np.round(points * 16).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], paint, cv2.LINE_AA, shift=4)
    cv2.polylines(canvas, [fixed], True, (250, 250, 250), 3, cv2.LINE_AA, shift=4)
