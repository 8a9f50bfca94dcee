"""Generated scenes with the exact mask of the object that is asked for.

A scene is made of its split and seed: objects with plain, shaded or photographed surfaces on a plain, shaded or
photographed ground. The photographs are those of scikit-image; no split uses another's, neither as ground nor as
surface, so that what was tuned on `fixed` can be judged on `held_out`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.nano.render import photograph
from perf.ops.shapes import KINDS, outlines

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Split = Literal["fixed", "held_out"]

SURFACES = ("plain", "shaded", "textured")
GROUNDS = ("plain", "gradient", "photo")
TEXTURES: dict[Split, tuple[str, ...]] = {
    "fixed": ("brick", "gravel", "immunohistochemistry", "retina", "hubble_deep_field"),
    "held_out": ("grass", "chelsea", "coins", "moon"),
}
PHOTOS: dict[Split, tuple[str, ...]] = {
    "fixed": ("astronaut", "coffee", "immunohistochemistry", "brick", "retina"),
    "held_out": ("chelsea", "rocket", "grass", "stereo_motorcycle", "camera"),
}
SIZES = ((320, 240), (480, 360), (512, 512), (640, 480), (360, 480), (800, 600))
SIDE = (0.05, 0.60)
"""The longer side of an object's box, as a share of the image's shorter side."""
VISIBLE = 20.0
"""Median distance in Lab along the border between what is on its two sides: less, and there is nothing to see."""
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
        surface: of the object, one of `SURFACES`.
        ground: one of `GROUNDS`.
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
        canvas = _ground(ground, (width, height), split, rng)
        taken = np.zeros((height, width), np.bool_)
        for _ in range(int(rng.integers(0, 4))):
            other = _alpha(str(rng.choice(KINDS)), taken, rng)
            if other is not None:
                canvas = _laid(canvas, other, _surface(str(rng.choice(SURFACES)), other, split, rng))
                taken |= _grown(other > 0.02)
        alpha = _alpha(shape, taken, rng)
        if alpha is None:
            continue
        front = _surface(surface, alpha, split, rng)
        if _visible(front, canvas, alpha >= 0.5):
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


def _colour(rng: np.random.Generator) -> Floats:
    return np.asarray(rng.uniform(15, 245, 3), np.float32)


def _ramp(size: tuple[int, int], low: Floats, high: Floats, rng: np.random.Generator) -> Floats:
    """From one colour to another in a random direction, `[height, width, 3]`."""
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    share = ((along - along.min()) / max(float(np.ptp(along)), 1e-6))[..., None]
    return np.asarray(low * (1 - share) + high * share, np.float32)


def _ground(kind: str, size: tuple[int, int], split: Split, rng: np.random.Generator) -> Floats:
    if kind == "plain":
        return np.broadcast_to(_colour(rng), (size[1], size[0], 3)).astype(np.float32)
    if kind == "gradient":
        return _ramp(size, _colour(rng), _colour(rng), rng)
    photo = photograph(str(rng.choice(PHOTOS[split])))
    scale = max(size[0] / photo.shape[1], size[1] / photo.shape[0]) * rng.uniform(1.0, 1.5)
    return _patch(photo, size, scale, rng)


def _surface(kind: str, alpha: Floats, split: Split, rng: np.random.Generator) -> Floats:
    """The whole picture as if it were made of the object; what differs from pixel to pixel spans the object's box."""
    size = (alpha.shape[1], alpha.shape[0])
    if kind == "plain":
        return np.broadcast_to(_colour(rng), (*alpha.shape, 3)).astype(np.float32)
    rows, columns = np.flatnonzero((alpha > 0).any(1)), np.flatnonzero((alpha > 0).any(0))
    top, left = int(rows[0]), int(columns[0])
    box = (int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)
    if kind == "shaded":
        colour = _colour(rng)
        part = _ramp(box, colour * rng.uniform(0.6, 0.85), np.minimum(colour * rng.uniform(1.0, 1.3), 255), rng)
    else:
        photo = photograph(str(rng.choice(TEXTURES[split])))
        scale = max(rng.uniform(0.3, 1.0), box[0] / photo.shape[1], box[1] / photo.shape[0])
        part = np.clip(_patch(photo, box, scale, rng) * rng.uniform(0.7, 1.3, 3), 0, 255).astype(np.float32)
    whole = np.zeros((size[1], size[0], 3), np.float32)
    whole[top : top + box[1], left : left + box[0]] = part
    return whole


def _patch(photo: Pixels, size: tuple[int, int], scale: float, rng: np.random.Generator) -> Floats:
    """A part of a photograph, enlarged `scale` times."""
    wide, high = (min(max(1, round(size[i] / scale)), photo.shape[1 - i]) for i in range(2))
    left, top = int(rng.integers(photo.shape[1] - wide + 1)), int(rng.integers(photo.shape[0] - high + 1))
    part = photo[top : top + high, left : left + wide]
    shrinks = cv2.INTER_AREA if wide > size[0] else cv2.INTER_CUBIC
    large = cv2.resize(part.astype(np.float32), size, interpolation=shrinks)
    return np.asarray(np.clip(large, 0, 255), np.float32)


def _laid(canvas: Floats, alpha: Floats, front: Floats) -> Floats:
    return np.asarray(canvas * (1 - alpha[..., None]) + front * alpha[..., None], np.float32)


def _visible(front: Floats, back: Floats, mask: Mask) -> bool:
    """Whether along the border the two surfaces differ."""
    band = np.ones((3, 3), np.uint8)
    border = mask & (cv2.erode(mask.astype(np.uint8), band) == 0)
    one, other = (cv2.cvtColor(surface / 255, cv2.COLOR_RGB2LAB)[border] for surface in (front, back))
    return bool(border.any()) and float(np.median(np.linalg.norm(one - other, axis=1))) >= VISIBLE
