"""From boxes to text: each line is straightened, brought to 48 pixels of height, and read column by column.

Lines are batched with others of about their width: short ones beside long ones would be mostly padding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.visual_ops.ocr import LINE_HEIGHT, MAX_LINES, Ocr
from python_backends.visual_ops.text_boxes import Quad
from python_backends.visual_ops.text_letters import Letter, narrowed

BUCKET = 64
"""Padded widths are multiples of it. On one thread a call costs as much as two columns, so that padding is all that a
width costs: 8.5 % of the columns of generated lines and 2.3 % of those of pages (160: 19.7 and 5.8 %). Narrower ones
would save little more, and every width is one more shape that an executor prepares itself for."""
HEADROOM = 0.2
"""By how much of itself a line is cut higher than its box. On generated lines and pages more of them are read to the
letter than with none, and in 15 % less time: lower letters are narrower ones."""
MAX_WIDTH = 3200
VERTICAL = 1.5
"""A box this much higher than wide holds a line turned by 90 degrees."""


@dataclass(frozen=True)
class Reading:
    """What one line says.

    Attributes:
        text: without blanks at its ends.
        confidence: mean probability of its characters; 0 for no text.
        letters: the characters of `text`, one by one.
    """

    text: str
    confidence: float
    letters: tuple[Letter, ...] = ()

    @property
    def weakest(self) -> float:
        """The lowest probability of a character; 0 for no text."""
        return min((letter.confidence for letter in self.letters), default=0.0)


@dataclass
class Batches:
    """What calls of the recogniser held, added up. Not for several threads.

    Attributes:
        calls: how many.
        lines: in all of them.
        columns: of all batches, padding included.
        padding: columns that belong to no line.
    """

    calls: int = 0
    lines: int = 0
    columns: int = 0
    padding: int = 0

    def add(self, width: int, widths: Sequence[int]) -> None:
        """Count a batch of lines of `widths`, padded to `width`."""
        self.calls, self.lines = self.calls + 1, self.lines + len(widths)
        self.columns += width * len(widths)
        self.padding += width * len(widths) - sum(widths)

    @property
    def padding_share(self) -> float:
        """Of the columns; 0 before the first call."""
        return self.padding / self.columns if self.columns else 0.0


@dataclass
class _Bucket:
    """Lines that are padded to one width."""

    width: int
    members: list[int] = field(default_factory=list)


def as_read(quad: Quad, upside_down: bool = False) -> Quad:
    """The corners of a line beginning where its text begins.

    A box that is much higher than wide is taken for a line that runs downwards.
    """
    width, height = _extent(quad)
    turns = (1 if height > VERTICAL * width else 0) + (2 if upside_down else 0)
    return np.roll(quad, -turns, axis=0)


def cut_out(image: Pixels, quad: Quad) -> Pixels:
    """A line as the recogniser likes it: `straighten`, with `HEADROOM` around the letters."""
    top_left, top_right, bottom_right, bottom_left = quad
    left, right = (bottom_left - top_left) * HEADROOM / 2, (bottom_right - top_right) * HEADROOM / 2
    return straighten(image, np.array([top_left - left, top_right - right, bottom_right + right, bottom_left + left]))


def straighten(image: Pixels, quad: Quad) -> Pixels:
    """The inside of `quad` upright, `[height, width, 3]`, at the picture's own resolution.

    Args:
        image: `[height, width, 3]` RGB.
        quad: corners from where the text begins, clockwise: see `as_read`.
    """
    width, height = (max(1, round(side)) for side in _extent(quad))
    target = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    warp = cv2.getPerspectiveTransform(np.asarray(quad, np.float32), target)
    line = cv2.warpPerspective(image, warp, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(line, np.uint8)


def read_lines(lines: Sequence[Pixels], ocr: Ocr, batches: Batches | None = None) -> list[Reading]:
    """What each line says, in the order given.

    Args:
        lines: pictures of one line each, of any size.
        ocr: the models; called with at most `MAX_LINES` lines of one width at a time.
        batches: is told of each call.
    """
    scaled = [_scaled(line) for line in lines]
    readings = [Reading("", 0.0)] * len(lines)
    for bucket in _buckets([line.shape[1] for line in scaled]):
        chosen = bucket.members
        batch = np.zeros((len(chosen), LINE_HEIGHT, bucket.width, 3), np.uint8)
        for row, index in enumerate(chosen):
            batch[row, :, : scaled[index].shape[1]] = scaled[index]
        widths = np.array([scaled[index].shape[1] for index in chosen], np.int32)
        if batches is not None:
            batches.add(bucket.width, widths.tolist())
        indexes, probabilities = ocr.recognize(batch, widths)
        for row, index in enumerate(chosen):
            share = bucket.width / (indexes.shape[1] * int(widths[row]))
            readings[index] = decode(indexes[row], probabilities[row], ocr.characters, share)
    return readings


def decode(
    index: NDArray[np.int32], probability: NDArray[np.float32], characters: Sequence[str], share: float | None = None
) -> Reading:
    """CTC's best path: repeats collapse, blanks (index 0) fall out (Graves et al., ICML 2006).

    Args:
        index: `[T]` most probable class of each column.
        probability: `[T]` its probability.
        characters: what a class stands for.
        share: of the line's width that one column takes; by default the columns are the line.
    """
    starts = np.ones(len(index), bool)
    starts[1:] = index[1:] != index[:-1]
    kept = np.flatnonzero(starts & (index > 0))
    each = 1 / len(index) if share is None else share
    letters = [Letter(characters[index[t]], min((t + 0.5) * each, 1.0), float(probability[t])) for t in kept]
    while letters and not letters[0].text.strip():
        del letters[0]
    while letters and not letters[-1].text.strip():
        del letters[-1]
    letters = narrowed(letters)
    text = "".join(letter.text for letter in letters)
    return Reading(text, float(probability[kept].mean()) if text else 0.0, tuple(letters))


def _buckets(widths: Sequence[int]) -> list[_Bucket]:
    """Batches of at most `MAX_LINES` lines, the narrow ones first."""
    found: list[_Bucket] = []
    for index in sorted(range(len(widths)), key=lambda i: widths[i]):
        width = -(-widths[index] // BUCKET) * BUCKET
        if not found or found[-1].width != width or len(found[-1].members) == MAX_LINES:
            found.append(_Bucket(width))
        found[-1].members.append(index)
    return found


def _extent(quad: Quad) -> tuple[float, float]:
    """Width and height: the longer ones of the sides across from each other."""
    return (
        max(math.dist(quad[0], quad[1]), math.dist(quad[3], quad[2])),
        max(math.dist(quad[0], quad[3]), math.dist(quad[1], quad[2])),
    )


def _scaled(line: Pixels) -> Pixels:
    height, width = line.shape[:2]
    target = min(max(math.ceil(LINE_HEIGHT * width / height), 1), MAX_WIDTH)
    mode = cv2.INTER_AREA if height > 1.5 * LINE_HEIGHT else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(line, (target, LINE_HEIGHT), interpolation=mode), np.uint8)
