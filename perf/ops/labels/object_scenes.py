"""Generated still pictures with the exact mask of the object that is asked for.

A scene is made of its split and seed: objects of `shapes.py` with surfaces of `surfaces.py`, on a ground of these.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from perf.ops.labels.shapes import KINDS, outlines
from perf.ops.labels.surfaces import GROUNDS, SURFACES, Floats, Mask, Split, differ, ground_of, surface_of
from python_backends.images import Pixels

SIZES = ((320, 240), (480, 360), (512, 512), (640, 480), (360, 480), (800, 600))
SIDE = (0.05, 0.60)
"""The longer side of an object's box, as a share of the image's shorter side."""
LEAVES = 0.25
"""Share of objects that may leave the picture."""
CUT = 0.3
"""By how much of their box at most."""
OVERSAMPLED = 4
TRIES = 60


@dataclass(frozen=True)
class Scene:
    """A picture and its answer.

    Attributes:
        image: `[height, width, 3]` RGB.
        mask: `[height, width]`, the object's pixels.
        point: (x, y) well inside the object.
        surface: of the object, one of `surfaces.SURFACES`.
        ground: one of `surfaces.GROUNDS`.
        shape: one of `shapes.KINDS`.
        compressed: whether it went through JPEG.
    """

    image: Pixels
    mask: Mask
    point: tuple[int, int]
    surface: str
    ground: str
    shape: str
    compressed: bool

    @property
    def kind(self) -> str:
        """What lies on what."""
        return f"{self.surface} on {self.ground}"


def make_scene(split: Split, seed: int) -> Scene:
    """The scene of `(split, seed)`. Surfaces and grounds take turns with the seed, so that each pair is as frequent.

    Raises:
        BuildError: scikit-image is not installed.
    """
    rng = np.random.default_rng([seed, 1 + (split == "held_out")])
    surface, ground = SURFACES[seed % 3], GROUNDS[seed // 3 % 3]
    shape = str(rng.choice(KINDS))
    width, height = SIZES[int(rng.integers(len(SIZES)))]
    while True:
        canvas = ground_of(ground, (width, height), split, rng)
        taken = np.zeros((height, width), np.bool_)
        for _ in range(int(rng.integers(0, 4))):
            other = _alpha(str(rng.choice(KINDS)), taken, rng)
            if other is not None:
                canvas = _laid(canvas, other, surface_of(str(rng.choice(SURFACES)), other, split, rng))
                taken |= _grown(other > 0.02)
        alpha = _alpha(shape, taken, rng)
        if alpha is None:
            continue
        front = surface_of(surface, alpha, split, rng)
        if differ(front, canvas, alpha >= 0.5):
            break
    image = np.clip(np.round(_laid(canvas, alpha, front)), 0, 255).astype(np.uint8)
    compressed = bool(rng.random() < 0.5)
    if compressed:
        image = as_jpeg(image, int(rng.integers(60, 96)))
    return Scene(image, alpha >= 0.5, inner_point(alpha >= 0.5, rng), surface, ground, shape, compressed)


def lay_shape(front: Floats, back: Floats, size: tuple[int, int], rng: np.random.Generator) -> tuple[Pixels, Mask]:
    """One shape of a colour on another, `(width, height)` large, and its pixels."""
    taken = np.zeros(size[::-1], np.bool_)
    alpha = None
    while alpha is None:
        alpha = _alpha(str(rng.choice(KINDS)), taken, rng)
    canvas, surface = (np.broadcast_to(colour, (*taken.shape, 3)).astype(np.float32) for colour in (back, front))
    return np.clip(np.round(_laid(canvas, alpha, surface)), 0, 255).astype(np.uint8), alpha >= 0.5


def as_jpeg(image: Pixels, quality: int) -> Pixels:
    """`image` after JPEG at `quality`."""
    _, packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


def inner_point(mask: Mask, rng: np.random.Generator) -> tuple[int, int]:
    """A point (x, y) of `mask` at least 0.4 times as far from its border as its deepest one."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    inside = np.argwhere(depth >= 0.4 * depth.max())
    y, x = inside[int(rng.integers(len(inside)))]
    return int(x), int(y)


def _alpha(kind: str, taken: Mask, rng: np.random.Generator) -> Floats | None:
    """How much of each pixel an object of `kind` covers, with an edge that may be soft; nothing where no place is."""
    height, width = taken.shape
    cut = rng.random() < LEAVES
    for _ in range(TRIES):
        found = outlines(kind, rng)
        extent = max(float(np.ptp(found[0], axis=0).max()), 1e-6)
        scale = rng.uniform(*SIDE) * min(width, height) / extent
        low, high = found[0].min(0) * scale, found[0].max(0) * scale
        over = CUT * (high - low) if cut else np.full(2, -3.0)
        at = np.array([rng.uniform(-low[i] - over[i], (width, height)[i] - high[i] + over[i]) for i in range(2)])
        points = [np.round((outline * scale + at) * OVERSAMPLED * 16).astype(np.int32) for outline in found]
        large = np.zeros((height * OVERSAMPLED, width * OVERSAMPLED), np.uint8)
        cv2.fillPoly(large, points, 255, shift=4)
        alpha = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        blur = rng.uniform(0, 1.5)
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), blur) if blur > 0.4 else alpha, np.float32)
        if (alpha >= 0.5).sum() >= 100 and not (taken & (alpha > 0.02)).any():
            return alpha
    return None


def _grown(mask: Mask) -> Mask:
    """`mask` with a margin that no other object enters."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0, np.bool_)


def _laid(canvas: Floats, alpha: Floats, front: Floats) -> Floats:
    return np.asarray(canvas * (1 - alpha[..., None]) + front * alpha[..., None], np.float32)
