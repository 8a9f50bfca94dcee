"""Labelled pages: paragraphs in one or two columns, level or turned, with all lines and words and their boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from perf.ops.labels.lettering import FACES, Coverage, Setting, font, turned, turning, words
from perf.ops.labels.text_lines import FIXED, GROUNDS, MOST_TURNED, SHARE_TURNED, painted
from python_backends.images import Pixels

WIDTHS = (560, 1400)
SIZES = (12, 32)
FINE = 2
"""Pages are set this many times larger and brought down: turned ones are no more blurred than others."""

Box = tuple[float, float, float, float]
"""`(x1, y1, x2, y2)` around letters, in pixels."""


@dataclass(frozen=True)
class Written:
    """A word or a line of a page."""

    text: str
    box: Box


@dataclass(frozen=True)
class Page:
    """A picture of a page.

    Attributes:
        pixels: `[height, width, 3]` RGB.
        lines: in the order in which they are read.
        words: likewise.
        setting: face, size and angle.
        columns: one or two.
    """

    pixels: Pixels
    lines: list[Written]
    words: list[Written]
    setting: Setting
    columns: int

    @property
    def text(self) -> str:
        """All of it, a line break after each line."""
        return "\n".join(line.text for line in self.lines)


def pages(count: int, seed: int = FIXED) -> Iterator[Page]:
    """Pages, one after the other; the first ones of a longer list are those of a shorter one."""
    rng = Random(f"pages {seed}")
    for _ in range(count):
        yield page(rng)


def page(rng: Random) -> Page:
    """A page of some paragraphs."""
    angle = rng.uniform(-MOST_TURNED, MOST_TURNED) if rng.random() < SHARE_TURNED else 0.0
    setting = Setting(rng.choice(FACES), rng.randint(*SIZES), angle)
    columns = rng.choice((1, 1, 2))
    width = max(rng.randint(*WIDTHS), 24 * setting.size * columns)
    rows = rng.randint(3, 12)
    drawn, lines, parts = _set(rng, setting, columns, width, rows)
    matrix, _ = turning((drawn.shape[1], drawn.shape[0]), angle)
    small = turned(drawn, angle, FINE)
    ground, colour = GROUNDS[rng.choice(("dark on light", "light on dark", "coloured"))](rng, small)
    return Page(
        painted(ground, small, colour),
        [Written(text, _moved(box, matrix)) for text, box in lines],
        [Written(text, _moved(box, matrix)) for text, box in parts],
        setting,
        columns,
    )


_Set = list[tuple[str, Box]]


def _set(rng: Random, setting: Setting, columns: int, width: int, rows: int) -> tuple[Coverage, _Set, _Set]:
    """Ink on a level page, `FINE` times larger, with its lines and words."""
    size = setting.size * FINE
    face = font(setting.face, size)
    margin, leading = 2 * size, round(size * rng.uniform(1.35, 1.8))
    column = (width * FINE - margin * (columns + 1)) // columns
    height = 2 * margin + leading * rows + 2 * leading
    drawn = np.zeros((height, width * FINE), np.float32)
    lines: _Set = []
    parts: _Set = []
    for place in range(columns):
        left, baseline = margin + place * (column + margin), margin + size
        gap = rng.randint(2, rows)
        for row in range(rows):
            text = _filled(rng, face.getlength, column, last=row + 1 in (gap, rows))
            found = _written(drawn, text, (left, baseline), setting.face, size)
            parts += found
            lines.append((text, _around([box for _, box in found])))
            baseline += leading + (leading if row + 1 == gap and row + 1 < rows else 0)
    return drawn, lines, parts


def _filled(rng: Random, length: Callable[[str], float], column: int, last: bool) -> str:
    """Words that fill a column; the last line of a paragraph does not."""
    text, room = words(rng, 1), column * (rng.uniform(0.65, 0.9) if last else 1.0)
    while length(longer := f"{text} {words(rng, 1)}") <= room:
        text = longer
    return text


def _written(drawn: Coverage, text: str, at: tuple[int, int], face: str, size: int) -> _Set:
    """Draw a line; its words with their boxes, which are all as high as the line's ink."""
    letters = font(face, size)
    found: _Set = []
    x, y = float(at[0]), at[1]
    for word in text.split():
        left, top, right, bottom = (int(value) for value in letters.getbbox(word, anchor="ls"))
        place = round(x)
        image = Image.new("L", (right - left, bottom - top), 0)
        ImageDraw.Draw(image).text((-left, -top), word, fill=255, font=letters, anchor="ls")
        part = drawn[y + top : y + bottom, place + left : place + right]
        np.maximum(part, np.asarray(image, np.float32)[: part.shape[0], : part.shape[1]] / 255, out=part)
        found.append((word, (place + left, y + top, place + right, y + bottom)))
        x += letters.getlength(f"{word} ")
    _, upper, _, lower = _around([box for _, box in found])
    return [(word, (x1, upper, x2, lower)) for word, (x1, _, x2, _) in found]


def _around(boxes: list[Box]) -> Box:
    values = np.array(boxes)
    return (*values[:, :2].min(0).tolist(), *values[:, 2:].max(0).tolist())


def _moved(box: Box, matrix: NDArray[np.float64]) -> Box:
    """Bounds of a box of the level page on the turned one, which is `FINE` times smaller."""
    x1, y1, x2, y2 = box
    corners = np.array([[(x1, y1), (x2, y1), (x2, y2), (x1, y2)]], np.float64)
    seen = cv2.transform(corners, matrix)[0] / FINE
    return (*seen.min(0).tolist(), *seen.max(0).tolist())
