"""Letters as coverage: text in packaged faces, upright or turned as a scanner or a camera would see it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from builder.sources.packages import package_file

DEFAULT = "Aileron"
"""Pillow's own face."""
FACES = (
    DEFAULT, "DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral",
)  # fmt: skip
"""The others are those that matplotlib brings."""
FINE = 3
"""Turned letters are drawn this many times larger and brought down, so that turning alone does not blur them."""
WORDS = (
    "the of and harbour Kitchen violet STATION Quay museum Bread garden TICKETS lemon window Bridge copper SILENT "
    "paper Market north Engine coffee planet with from station every morning before Open closed Street number between "
    "quiet letters are read without hurry Zebra jumped over six lazy foxes"
).split()

Coverage = NDArray[np.float32]
"""How much of each pixel is ink, `[height, width]`, 0-1."""
Font = ImageFont.FreeTypeFont


@dataclass(frozen=True)
class Setting:
    """Text as it is set.

    Attributes:
        face: one of `FACES`.
        size: of the face's em square, in pixels.
        angle: in degrees, counter-clockwise.
    """

    face: str
    size: int
    angle: float = 0.0


@cache
def font(face: str, size: int) -> Font:
    """A packaged face.

    Raises:
        BuildError: matplotlib is not installed.
    """
    if face == DEFAULT:
        found = ImageFont.load_default(size)
        assert isinstance(found, Font)
        return found
    return ImageFont.truetype(package_file("matplotlib", f"mpl-data/fonts/ttf/{face}.ttf"), size)


def phrase(rng: Random) -> str:
    """One to five words, a code, an amount, a time or a name with a number."""
    kind = rng.randrange(8)
    if kind == 0:
        return "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(2)) + str(rng.randint(100, 9999))
    if kind == 1:
        return f"{rng.choice(WORDS)}: {rng.randint(1, 999)}.{rng.randint(10, 99)}"
    if kind == 2:
        return f"{rng.choice(WORDS)} {rng.randint(10, 23)}:{rng.randint(10, 59)}"
    return words(rng, rng.randint(1, 5))


def words(rng: Random, count: int) -> str:
    """Words between spaces."""
    return " ".join(rng.choice(WORDS) for _ in range(count))


def ink(text: str, setting: Setting) -> Coverage:
    """One line, cut to its letters."""
    fine = FINE if setting.angle else 1
    face = font(setting.face, setting.size * fine)
    left, top, right, bottom = (int(value) for value in face.getbbox(text))
    edge = 2 * fine
    image = Image.new("L", (right - left + 2 * edge, bottom - top + 2 * edge), 0)
    ImageDraw.Draw(image).text((edge - left, edge - top), text, fill=255, font=face)
    drawn = np.asarray(image, np.float32) / 255
    return cut(turned(drawn, setting.angle, fine)) if setting.angle else cut(drawn)


def turned(drawn: Coverage, angle: float, fine: int) -> Coverage:
    """All of `drawn`, turned and brought down by `fine`."""
    matrix, size = turning((drawn.shape[1], drawn.shape[0]), angle)
    whole = tuple(math.ceil(side / fine) * fine for side in size)
    moved = cv2.warpAffine(drawn, matrix, whole, flags=cv2.INTER_LINEAR)
    small = cv2.resize(moved, (whole[0] // fine, whole[1] // fine), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def turning(size: tuple[int, int], angle: float) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """The matrix `[2, 3]` that turns a picture of (width, height) into one that holds all of it, and its size."""
    width, height = size
    matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0), np.float64)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide, high = math.ceil(width * cos + height * sin), math.ceil(width * sin + height * cos)
    matrix[:, 2] += (wide / 2 - width / 2, high / 2 - height / 2)
    return matrix, (wide, high)


def cut(drawn: Coverage) -> Coverage:
    """What of `drawn` has ink."""
    rows, columns = np.flatnonzero(drawn.max(1) > 0), np.flatnonzero(drawn.max(0) > 0)
    return drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
