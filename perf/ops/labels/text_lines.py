"""Labelled lines of text: sizes, angles, colours and grounds as they are met, each with exactly what is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from builder.sources.packages import package_file
from perf.ops.labels.lettering import FACES, Coverage, Setting, ink, phrase
from python_backends.images import Pixels

FIXED, HELD_OUT = 20261129, 977
"""Seeds: settings are chosen on the first, and reported on both."""
SIZES = (10, 60)
MOST_TURNED = 15.0
"""Degrees, either way, of the lines that are turned."""
SHARE_TURNED = 0.4
CLEAR = 70.0
"""Grey levels between the ink and nearly every pixel behind it: a caption is set where it can be read."""
PHOTOGRAPHS = (
    "astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "brick.png", "grass.png", "gravel.png",
    "ihc.png", "camera.png", "rocket.jpg", "retina.jpg",
)  # fmt: skip
CAPTIONS = ((250, 250, 250), (10, 10, 10), (250, 220, 40))
TRIES = 24
"""Places on one photograph, before another one is taken."""

Rgb = tuple[int, int, int]
Ground = tuple[Pixels, Rgb]
"""What is behind the letters, and the colour of their ink."""


@dataclass(frozen=True)
class Line:
    """A picture of one line.

    Attributes:
        text: what is written.
        pixels: `[height, width, 3]` RGB.
        setting: face, size and angle.
        ground: `dark on light`, `light on dark`, `coloured` or `photograph`.
        upside_down: whether the picture was turned by 180 degrees.
    """

    text: str
    pixels: Pixels
    setting: Setting
    ground: str
    upside_down: bool = False


def lines(count: int, seed: int = FIXED, upside_down: float = 0.0) -> Iterator[Line]:
    """Lines, one after the other.

    Args:
        count: how many.
        seed: of all that is drawn; the first ones of a longer list are those of a shorter one.
        upside_down: share of the lines that are turned by 180 degrees.
    """
    rng = Random(seed)
    for _ in range(count):
        yield line(rng, upside_down)


def line(rng: Random, upside_down: float = 0.0) -> Line:
    """A line with little or much ground around it."""
    text = phrase(rng)
    angle = rng.uniform(-MOST_TURNED, MOST_TURNED) if rng.random() < SHARE_TURNED else 0.0
    setting = Setting(rng.choice(FACES), rng.randint(*SIZES), angle)
    drawn = ink(text, setting)
    margins = tuple(round(setting.size * rng.uniform(0.2, 1.5)) for _ in range(4))
    drawn = np.pad(drawn, (margins[:2], margins[2:]))
    kind = rng.choice(tuple(GROUNDS))
    ground, colour = GROUNDS[kind](rng, drawn)
    pixels = painted(ground, drawn, colour)
    over = rng.random() < upside_down
    return Line(text, np.ascontiguousarray(pixels[::-1, ::-1]) if over else pixels, setting, kind, over)


def painted(ground: Pixels, drawn: Coverage, colour: Rgb) -> Pixels:
    """Letters of a colour on a ground of their size."""
    part = drawn[..., None]
    return np.asarray(np.rint(ground * (1 - part) + np.array(colour, np.float32) * part), np.uint8)


def light(rng: Random, drawn: Coverage) -> Ground:
    """Paper, unevenly lit."""
    paper = rng.randint(200, 255)
    return _lit(rng, drawn, (paper, paper, paper - rng.randint(0, 20))), _grey(rng.randint(0, 60))


def dark(rng: Random, drawn: Coverage) -> Ground:
    """A board, unevenly lit."""
    board = rng.randint(0, 60)
    return _lit(rng, drawn, (board, board, board + rng.randint(0, 20))), _grey(rng.randint(195, 255))


def coloured(rng: Random, drawn: Coverage) -> Ground:
    """Two colours whose luminance differs."""
    while True:
        paper, letters = (_colour(rng), _colour(rng))
        if abs(luminance(np.array(paper)) - luminance(np.array(letters))) >= CLEAR:
            return _lit(rng, drawn, paper), letters


def photograph(rng: Random, drawn: Coverage) -> Ground:
    """A part of a photograph on which black, white or yellow letters can be read."""
    height, width = drawn.shape
    while True:
        whole = _photograph(rng.choice(PHOTOGRAPHS))
        times = math.ceil(max(height / whole.shape[0], width / whole.shape[1]))
        whole = np.tile(whole, (times, times, 1))
        for _ in range(TRIES):
            y, x = rng.randint(0, whole.shape[0] - height), rng.randint(0, whole.shape[1] - width)
            part = whole[y : y + height, x : x + width]
            behind, letters = luminance(part), rng.choice(CAPTIONS)
            if np.percentile(np.abs(behind - luminance(np.array(letters))), 2) >= CLEAR:
                return part, letters


GROUNDS: dict[str, Callable[[Random, Coverage], Ground]] = {
    "dark on light": light,
    "light on dark": dark,
    "coloured": coloured,
    "photograph": photograph,
}


def luminance(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Of RGB `[..., 3]`, ITU-R BT.601, 0-255."""
    return np.asarray(pixels @ np.array([0.299, 0.587, 0.114]), np.float64)


def _lit(rng: Random, drawn: Coverage, paper: Rgb) -> Pixels:
    """A ground of one colour under light that falls off to one side, with a camera's noise."""
    height, width = drawn.shape
    fall = np.linspace(-1, 1, width)[None, :, None] * rng.uniform(-12, 12)
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, rng.uniform(0, 4), (height, width, 3))
    return np.asarray(np.clip(np.array(paper) + fall + noise, 0, 255), np.uint8)


def _grey(value: int) -> Rgb:
    return value, value, value


def _colour(rng: Random) -> Rgb:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


@cache
def _photograph(name: str) -> Pixels:
    """A photograph that comes inside scikit-image, RGB."""
    return np.asarray(Image.open(package_file("skimage", f"data/{name}")).convert("RGB"), np.uint8)
