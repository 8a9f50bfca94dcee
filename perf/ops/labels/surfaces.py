"""What objects of generated scenes are made of, and what they lie on: plain, shaded, or out of a photograph.

The photographs are those of scikit-image. No split uses another's, so that what was tuned on `fixed` can be judged on
`held_out`.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.nano.render import photograph
from python_backends.images import Pixels

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
VISIBLE = 20.0
"""Median distance in Lab along the border between what is on its two sides: less, and there is nothing to see."""


def ground_of(kind: str, size: tuple[int, int], split: Split, rng: np.random.Generator) -> Floats:
    """A ground of `size`, (width, height): `[height, width, 3]`, 0-255."""
    if kind == "plain":
        return np.broadcast_to(_colour(rng), (size[1], size[0], 3)).astype(np.float32)
    if kind == "gradient":
        return _ramp(size, _colour(rng), _colour(rng), rng)
    photo = photograph(str(rng.choice(PHOTOS[split])))
    scale = max(size[0] / photo.shape[1], size[1] / photo.shape[0]) * rng.uniform(1.0, 1.5)
    return _patch(photo, size, scale, rng)


def surface_of(kind: str, alpha: Floats, split: Split, rng: np.random.Generator) -> Floats:
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


def differ(front: Floats, back: Floats, mask: Mask) -> bool:
    """Whether along the border of `mask` what is on its two sides differs enough to be seen."""
    band = np.ones((3, 3), np.uint8)
    border = mask & (cv2.erode(mask.astype(np.uint8), band) == 0)
    one, other = (cv2.cvtColor(surface / 255, cv2.COLOR_RGB2LAB)[border] for surface in (front, back))
    return bool(border.any()) and float(np.median(np.linalg.norm(one - other, axis=1))) >= VISIBLE


def _colour(rng: np.random.Generator) -> Floats:
    return np.asarray(rng.uniform(15, 245, 3), np.float32)


def _ramp(size: tuple[int, int], low: Floats, high: Floats, rng: np.random.Generator) -> Floats:
    """From one colour to another in a random direction, `[height, width, 3]`."""
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    share = ((along - along.min()) / max(float(np.ptp(along)), 1e-6))[..., None]
    return np.asarray(low * (1 - share) + high * share, np.float32)


def _patch(photo: Pixels, size: tuple[int, int], scale: float, rng: np.random.Generator) -> Floats:
    """A part of a photograph, enlarged `scale` times."""
    wide, high = (min(max(1, round(size[i] / scale)), photo.shape[1 - i]) for i in range(2))
    left, top = int(rng.integers(photo.shape[1] - wide + 1)), int(rng.integers(photo.shape[0] - high + 1))
    part = photo[top : top + high, left : left + wide]
    shrinks = cv2.INTER_AREA if wide > size[0] else cv2.INTER_CUBIC
    large = cv2.resize(part.astype(np.float32), size, interpolation=shrinks)
    return np.asarray(np.clip(large, 0, 255), np.float32)
