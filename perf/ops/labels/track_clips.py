"""Clips of one moving thing, made by a seed: where it is in every frame, and how much of it is to be seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from perf.ops.labels.things import PHOTOS, Box, Floats, Pose, Thing, bounds, compressed, corners, cut, draw, thing
from python_backends.images import Pixels

WIDTH, HEIGHT = 480, 360
GRAIN = 40
"""Noise is drawn once, and moved by up to this many pixels from frame to frame."""
KINDS = ("still", "moving", "grows", "turns", "partial", "hidden", "leaves", "returns", "fast")
"""Over a still background; over one that moves; growing or shrinking; turning in changing light; half behind a pillar;
wholly behind one for a while; out of the picture for good; out and in again; by a seventh of the picture a frame."""


@dataclass(frozen=True)
class TrackClip:
    """A moving thing.

    Attributes:
        kind: one of `KINDS`.
        frames: `[HEIGHT, WIDTH, 3]` RGB.
        boxes: around all of it, in every frame; may reach out of the frame.
        shown: the share of it that is to be seen.
    """

    kind: str
    frames: list[Pixels]
    boxes: list[Box]
    shown: list[float]


@dataclass(frozen=True)
class _Scene:
    """What does not change: background (wider than a frame) and its way a frame, a pillar's mask and surface."""

    wide: Pixels
    pan: Floats
    pillar: tuple[int, int] | None
    surface: Pixels

    def frame(self, i: int) -> Pixels:
        x, y = (
            int(v)
            for v in np.clip(np.round(self.pan * i), 0, [self.wide.shape[1] - WIDTH, self.wide.shape[0] - HEIGHT])
        )
        return self.wide[y : y + HEIGHT, x : x + WIDTH].copy()


def track_clip(seed: int, kind: str | None = None) -> TrackClip:
    """The clip of a seed; its kind is `KINDS` by turns unless it is given."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)] if kind is None else kind
    names = [str(name) for name in rng.permutation(PHOTOS)]
    moved = thing(rng, names[2:])
    size = rng.uniform(48, 100) * np.array([1.0, rng.uniform(0.75, 1.3)])
    path = _path(rng, kind, size)
    scene = _scene(rng, kind, names, size, path)
    phase, swing = rng.uniform(0, 6.28), rng.uniform(8, 15) if kind == "turns" else 0.0
    growth = math.log(rng.uniform(1.3, 1.6)) * rng.choice([-1, 1]) if kind == "grows" else 0.0
    noise = rng.normal(0, 2.5, (HEIGHT + GRAIN, WIDTH + GRAIN, 3)).astype(np.float32)
    frames, boxes, shown = [], [], []
    for i, centre in enumerate(path):
        factor = math.exp(growth * i / len(path))
        pose = Pose(
            (float(centre[0]), float(centre[1])),
            (float(size[0] * factor), float(size[1] * factor)),
            swing * math.sin(0.15 * i),
            1 + (0.12 * math.sin(0.2 * i + phase) if kind == "turns" else 0.0),
        )
        frame, share = _drawn(scene, i, moved, pose)
        x, y = (int(v) for v in rng.integers(0, GRAIN, 2))
        noisy = frame + noise[y : y + HEIGHT, x : x + WIDTH]
        frames.append(compressed(np.clip(noisy, 0, 255).astype(np.uint8)))
        boxes.append(bounds(corners(moved, pose)))
        shown.append(share)
    return TrackClip(kind, frames, boxes, shown)


def _drawn(scene: _Scene, i: int, moved: Thing, pose: Pose) -> tuple[Pixels, float]:
    """A frame, and the share of the thing that is to be seen in it."""
    frame = scene.frame(i)
    covers = draw(frame, moved, pose)
    if scene.pillar is not None:
        x1, x2 = scene.pillar
        frame[:, x1:x2] = scene.surface
        covers[:, x1:x2] = 0
    area = cv2.contourArea(corners(moved, pose).astype(np.float32))
    return frame, min(1.0, float(covers.sum()) / area)


def _scene(rng: np.random.Generator, kind: str, names: list[str], size: Floats, path: Floats) -> _Scene:
    moving = kind == "moving" or (kind in ("hidden", "leaves") and rng.random() < 0.3)
    pan = np.array([rng.uniform(1, 3), rng.uniform(0, 1)]) if moving else np.zeros(2)
    wide = cut(rng, names[0], WIDTH + (160 if moving else 0), HEIGHT + (60 if moving else 0))
    if kind not in ("partial", "hidden"):
        return _Scene(wide, pan, None, wide)
    step = abs(float(path[1, 0] - path[0, 0]))
    width = round(rng.uniform(0.4, 0.6) * size[0] if kind == "partial" else size[0] + rng.uniform(3, 7) * step)
    x = round(float(path[len(path) // 2, 0]) - width / 2)
    return _Scene(wide, pan, (x, x + width), cut(rng, names[1], width, HEIGHT))


def _path(rng: np.random.Generator, kind: str, size: Floats) -> Floats:
    """Centres by frame, `[frames, 2]`."""
    half, whole = size / 2, np.array([WIDTH, HEIGHT], np.float64)
    low, high = half + 4, whole - half - 4
    count = 10 if kind == "fast" else 32
    way = np.linspace(0, 1, count)[:, None]
    if kind in ("partial", "hidden"):
        ends = np.array(
            [[half[0] + 6, rng.uniform(low[1], high[1])], [WIDTH - half[0] - 6, rng.uniform(low[1], high[1])]]
        )
        ends = ends[::-1] if rng.random() < 0.5 else ends
        return np.asarray(ends[0] + way * (ends[1] - ends[0]))
    if kind == "fast":
        ends = np.array([low, high]) if rng.random() < 0.5 else np.array([[high[0], low[1]], [low[0], high[1]]])
        there = 1 - np.abs(1 - 2 * way * rng.uniform(1.2, 1.6) / 1.6)
        return np.asarray(ends[0] + np.clip(there, 0, 1) * (ends[1] - ends[0]))
    if kind in ("leaves", "returns"):
        start, axis = rng.uniform(low, high), int(rng.integers(2))
        out = start.copy()
        out[axis] = -half[axis] * 1.6 if start[axis] < whole[axis] / 2 else whole[axis] + half[axis] * 1.6
        along = np.minimum(way * 1.6, 1.0) if kind == "leaves" else 1 - np.abs(1 - 2 * way)
        return np.asarray(start + along * (out - start))
    ends = rng.uniform(low, high, (2, 2))
    bend = np.sin(way * math.pi * rng.uniform(1, 2)) * rng.uniform(-40, 40, 2)
    margin = 1.35 if kind in ("grows", "turns") else 1.0
    return np.asarray(np.clip(ends[0] + way * (ends[1] - ends[0]) + bend, half * margin, whole - half * margin))
