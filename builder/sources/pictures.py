"""Generated, seeded pictures for gate samples: lines of text, gradients with shapes, noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WORDS = (
    "Kitchen",
    "harbour 42",
    "OPEN 24h",
    "No. 7",
    "Platform 3",
    "violet",
    "Total: 18.50",
    "exit ->",
    "Quay",
    "e-mail@post",
)


def scene(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    """A gradient with noise, shapes and words, `[height, width, 3]` RGB."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    image = Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        r = int(rng.integers(width // 16 + 2, width // 5 + 3))
        colour = _colour(rng)
        if rng.random() < 0.5:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        else:
            draw.rectangle((x - r, y - r, x + r, y + r), fill=colour)
    for _ in range(4):
        at = (int(rng.integers(0, max(width * 2 // 3, 1))), int(rng.integers(0, max(height - 16, 1))))
        draw.text(at, str(rng.choice(WORDS)), fill=_colour(rng), font=ImageFont.load_default(int(rng.integers(12, 40))))
    noise = rng.normal(0, 4, (height, width, 3))
    return np.asarray(np.clip(np.asarray(image) + noise, 0, 255), dtype=np.uint8)


def line(text: str, seed: int, height: int = 48) -> NDArray[np.uint8]:
    """One line of `text` in two colours, `[height, width, 3]` RGB, tightly around the letters."""
    rng = np.random.default_rng(seed)
    font = ImageFont.load_default(height * 0.72)
    left, top, right, bottom = font.getbbox(text)
    paper = rng.integers(150, 256, 3) if rng.random() < 0.5 else rng.integers(0, 90, 3)
    ink = tuple(int(255 - value) if abs(int(value) - 128) > 30 else 0 for value in paper)
    image = Image.new("RGB", (math.ceil(right - left) + height // 2, height), tuple(int(v) for v in paper))
    place = (height // 4 - left, (height - (bottom - top)) / 2 - top)
    ImageDraw.Draw(image).text(place, text, fill=ink, font=font)
    return np.asarray(image, dtype=np.uint8)


def photographs(names: Sequence[str], width: int, height: int) -> NDArray[np.uint8]:
    """Photographs of scikit-image, stretched to `[n, height, width, 3]` RGB."""
    from builder.nano.render import photograph

    size, mode = (width, height), Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(photograph(name)).resize(size, mode)) for name in names])


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3)
    return int(red), int(green), int(blue)
