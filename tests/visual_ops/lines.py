"""Rendered lines of text: what an OCR has to read exactly."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from python_backends.images import Pixels

WORDS = (
    "harbour", "Kitchen", "violet", "STATION", "Quay", "museum", "Bread", "garden", "TICKETS", "lemon", "window",
    "Bridge", "copper", "SILENT", "paper", "Market", "north", "Engine", "coffee", "planet",
)  # fmt: skip
PAPERS = (
    ((214, 40, 40), (250, 250, 250)), ((250, 220, 50), (15, 15, 15)), ((45, 85, 210), (250, 250, 250)),
    ((245, 245, 245), (15, 15, 15)), ((25, 25, 25), (250, 250, 250)), ((40, 160, 70), (15, 15, 15)),
)  # fmt: skip


def phrase(rng: random.Random) -> str:
    """A word, two or three words, or a code."""
    kind = rng.randrange(4)
    if kind == 0:
        return "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(2)) + str(rng.randint(100, 9999))
    return " ".join(rng.choice(WORDS) for _ in range(kind))


def rendered(text: str, size: int, paper: tuple[int, int, int], ink: tuple[int, int, int], margin: int) -> Pixels:
    """`text` on a plain ground, `margin` pixels around its letters."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = (int(value) for value in font.getbbox(text))
    image = Image.new("RGB", (right - left + 2 * margin, bottom - top + 2 * margin), paper)
    ImageDraw.Draw(image).text((margin - left, margin - top), text, fill=ink, font=font)
    return np.asarray(image, dtype=np.uint8)


def samples(count: int, seed: int) -> list[tuple[str, Pixels]]:
    """Lines in several sizes and colours, half of them cut tightly around their letters."""
    rng = random.Random(seed)
    out = []
    for index in range(count):
        text, size = phrase(rng), rng.choice((16, 22, 30, 44, 64, 96))
        paper, ink = rng.choice(PAPERS)
        out.append((text, rendered(text, size, paper, ink, 2 if index % 2 else size // 2)))
    return out
