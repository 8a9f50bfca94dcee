"""What generated clips are made of: things cut out of photographs, posed and drawn over others, frame by frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.nano.render import photograph
from python_backends.images import Pixels

Floats = NDArray[np.float64]
Point = tuple[float, float]
Box = tuple[float, float, float, float]

PHOTOS = (
    "astronaut",
    "chelsea",
    "coffee",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
    "rocket",
    "stereo_motorcycle",
)
"""Photographs in colour that scikit-image brings along."""
PAINTS = ((214, 40, 40), (250, 220, 50), (40, 160, 70), (45, 85, 210), (130, 60, 180), (245, 130, 190), (30, 30, 30))
CORNERS = (48, 4, 3, 10, 6)
"""Of the outlines: a circle, a square, a triangle, a star, a hexagon."""
TEXTURE = 14.0
"""Standard deviation of grey values that a patch has, at least."""
FINE = 16
"""Outlines are drawn at this fraction of a pixel."""


@dataclass(frozen=True)
class Thing:
    """Something to be drawn.

    Attributes:
        patch: `[side, side, 3]` its surface.
        outline: `[n, 2]` its corners, as shares of its size from its middle.
    """

    patch: Pixels
    outline: Floats


@dataclass(frozen=True)
class Pose:
    """Where a thing is: centre in pixels, size in pixels (width, height), angle in degrees, light as a factor."""

    centre: Point
    size: Point
    angle: float = 0.0
    light: float = 1.0


@lru_cache(len(PHOTOS))
def photo(name: str) -> Pixels:
    """`[height, width, 3]` RGB, its shorter side 640 pixels.

    Raises:
        BuildError: scikit-image is not installed.
    """
    pixels = photograph(name)
    scale = 640 / min(pixels.shape[:2])
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))


def cut(rng: np.random.Generator, name: str, width: int, height: int) -> Pixels:
    """A place of a photograph, of that size."""
    whole = photo(name)
    x, y = (int(rng.integers(0, max(1, whole.shape[1 - i] - side))) for i, side in enumerate((width, height)))
    return whole[y : y + height, x : x + width]


def thing(rng: np.random.Generator, names: list[str]) -> Thing:
    """Cut out of one of those photographs where it has a texture; one in four is painted in a flat colour."""
    corners = CORNERS[int(rng.integers(len(CORNERS)))]
    angles = np.linspace(0, 2 * math.pi, corners, endpoint=False) - math.pi / 2 + (math.pi / 4 if corners == 4 else 0)
    radii = np.where(np.arange(corners) % 2, 0.5, 1.0) if corners == 10 else np.ones(corners)
    points = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    low, high = points.min(0), points.max(0)
    outline = (points - (low + high) / 2) / (high - low)
    if rng.random() < 0.25:
        return Thing(np.full((96, 96, 3), PAINTS[int(rng.integers(len(PAINTS)))], np.uint8), outline)
    while True:
        patch = cut(rng, names[int(rng.integers(len(names)))], 96, 96)
        if cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).std() >= TEXTURE:
            return Thing(patch, outline)


def corners(drawn: Thing, pose: Pose) -> Floats:
    """`[n, 2]` in pixels of the frame."""
    turn = math.radians(pose.angle)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    return np.asarray((drawn.outline * pose.size) @ rotation.T + pose.centre, np.float64)


def bounds(points: Floats) -> Box:
    """Around points."""
    (x1, y1), (x2, y2) = points.min(0), points.max(0)
    return float(x1), float(y1), float(x2), float(y2)


def draw(frame: Pixels, drawn: Thing, pose: Pose) -> NDArray[np.float32]:
    """Draw a thing into `frame`.

    Returns:
        `[height, width]` how much of each pixel it covers, 0-1.
    """
    height, width = frame.shape[:2]
    covers = np.zeros((height, width), np.float32)
    x1, y1, x2, y2 = (round(v) for v in bounds(corners(drawn, pose)))
    x1, y1, x2, y2 = max(x1 - 2, 0), max(y1 - 2, 0), min(x2 + 2, width), min(y2 + 2, height)
    if x1 >= x2 or y1 >= y2:
        return covers
    here = replace(pose, centre=(pose.centre[0] - x1, pose.centre[1] - y1))
    alpha = np.zeros((y2 - y1, x2 - x1), np.uint8)
    fixed = np.round((corners(drawn, here) - 0.5) * FINE).astype(np.int32)
    cv2.fillPoly(alpha, [fixed], 255, cv2.LINE_AA, shift=int(math.log2(FINE)))
    share = alpha.astype(np.float32)[..., None] / 255
    mixed = frame[y1:y2, x1:x2] * (1 - share) + _surface(drawn, here, x2 - x1, y2 - y1) * share * pose.light
    frame[y1:y2, x1:x2] = np.clip(mixed, 0, 255).astype(np.uint8)
    covers[y1:y2, x1:x2] = share[..., 0]
    return covers


def _surface(drawn: Thing, pose: Pose, width: int, height: int) -> Pixels:
    """Its patch where the thing is, beyond that the patch's border."""
    side = drawn.patch.shape[0]
    square = Thing(drawn.patch, np.array([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5)]))
    given = np.array([(0, 0), (side, 0), (0, side)], np.float32)
    move = cv2.getAffineTransform(given - np.float32(0.5), corners(square, pose).astype(np.float32) - np.float32(0.5))
    flags = cv2.INTER_LINEAR if min(pose.size) * 2 > side else cv2.INTER_AREA
    return np.asarray(
        cv2.warpAffine(drawn.patch, move, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def compressed(frame: Pixels) -> Pixels:
    """As a JPEG of it is opened."""
    # The codec takes red for blue and gives it back so: in their right order the clips would be others.
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", frame)[1], cv2.IMREAD_COLOR), np.uint8)
