"""Lines of text in several faces, sizes and colours, and pages of them, with what is written and where."""

from __future__ import annotations

import random
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from builder.nano.words import label_text

Pixels = NDArray[np.uint8]
Rgb = tuple[int, int, int]
Box = tuple[int, int, int, int]

WORDS = (
    "harbour Kitchen violet STATION Quay museum Bread garden TICKETS lemon window Bridge copper SILENT paper Market "
    "north Engine coffee planet exit Total closed Platform street Open"
).split()
COLOURS: tuple[tuple[Rgb, Rgb], ...] = (
    ((214, 40, 40), (250, 250, 250)), ((250, 220, 50), (15, 15, 15)), ((45, 85, 210), (250, 250, 250)),
    ((245, 245, 245), (15, 15, 15)), ((25, 25, 25), (250, 250, 250)), ((40, 160, 70), (15, 15, 15)),
    ((200, 195, 180), (90, 60, 40)), ((120, 130, 140), (235, 235, 225)),
)  # fmt: skip
"""Paper and ink."""
_STROKES = (None, cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX)
"""Pillow's own face, and two that are drawn in strokes."""


@dataclass(frozen=True)
class Written:
    """A line of text somewhere in a picture. `box` is around its letters, half-open, in pixels."""

    text: str
    box: Box


def phrase(rng: random.Random) -> str:
    """A word that is none, one to three words, a code or an amount."""
    kind = rng.randrange(6)
    if kind == 0:
        return label_text(rng, "held_out")
    if kind == 1:
        return "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(2)) + str(rng.randint(100, 9999))
    if kind == 2:
        return f"{rng.choice(WORDS)} {rng.randint(1, 99)}.{rng.randint(10, 99)}"
    return " ".join(rng.choice(WORDS) for _ in range(kind - 2))


def line(rng: random.Random, sizes: tuple[int, ...] = (16, 20, 24, 32, 44, 64, 96)) -> tuple[str, Pixels]:
    """A text, and a picture of it with little or much paper around it."""
    text, size = phrase(rng), rng.choice(sizes)
    paper, ink = rng.choice(COLOURS)
    margin = rng.choice((2, size // 2))
    stroke = rng.choice(_STROKES)
    width, height = _extent(text, size, stroke)
    canvas = np.full((height + 2 * margin, width + 2 * margin, 3), paper, np.uint8)
    return text, _write(canvas, text, (margin, margin), size, ink, stroke)


def page(rng: random.Random, side: int = 320, lines: int = 4) -> tuple[Pixels, list[Written]]:
    """A shaded page `[side, side, 3]` with up to `lines` lines, none over another, and what they are."""
    paper, ink = rng.choice(COLOURS)
    ramp = np.linspace(-12, 12, side)[:, None, None] * rng.choice((-1, 0, 1))
    canvas = np.clip(np.full((side, side, 3), paper, np.float64) + ramp, 0, 255).astype(np.uint8)
    written: list[Written] = []
    top = rng.randint(8, 24)
    for _ in range(lines):
        text, size, stroke = phrase(rng), rng.choice((16, 20, 26, 34)), rng.choice(_STROKES)
        width, height = _extent(text, size, stroke)
        if width > side - 24 or top + height > side - 8:
            continue
        left = rng.randint(12, side - 12 - width)
        canvas = _write(canvas, text, (left, top), size, ink, stroke)
        written.append(Written(text, (left, top, left + width, top + height)))
        top += height + rng.randint(14, 40)
    noise = np.random.default_rng(rng.randrange(2**31)).normal(0, 3, canvas.shape)
    return np.clip(canvas + noise, 0, 255).astype(np.uint8), written


def _extent(text: str, size: int, stroke: int | None) -> tuple[int, int]:
    """Width and height of the letters."""
    if stroke is None:
        left, top, right, bottom = (int(value) for value in ImageFont.load_default(size).getbbox(text))
        return right - left, bottom - top
    (width, height), below = cv2.getTextSize(text, stroke, size / 30, max(1, size // 16))
    return width, height + below


def _write(canvas: Pixels, text: str, at: tuple[int, int], size: int, ink: Rgb, stroke: int | None) -> Pixels:
    """`text` with the corner of its letters at `at`."""
    if stroke is not None:
        weight = max(1, size // 16)
        (_, height), _ = cv2.getTextSize(text, stroke, size / 30, weight)
        cv2.putText(canvas, text, (at[0], at[1] + height), stroke, size / 30, ink, weight, cv2.LINE_AA)
        return canvas
    font = ImageFont.load_default(size)
    left, top, _, _ = font.getbbox(text)
    picture = Image.fromarray(canvas)
    ImageDraw.Draw(picture).text((at[0] - left, at[1] - top), text, fill=ink, font=font)
    return np.asarray(picture, dtype=np.uint8).copy()
