"""Lines that were seen and read, and how certain it is that a closer look would read the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.text_boxes import Quad
from python_backends.visual_ops.text_lines import Batches, Reading, as_read, cut_out, read_lines
from python_backends.visual_ops.text_looks import Canvas, Seen

MIN_CONFIDENCE = 0.6
"""Lines read with less are taken for things that only look like letters."""
CLEAR_SCORE = 0.667
"""Detection score from which on a box is as good as it gets. Where a look from afar at generated lines and pages missed
a line or cut it short, it saw no box at all or one with less than 0.6."""
CLEAR_HEIGHT = 11.0
"""Height of a box, in pixels that the detector saw, from which on it is as good as it gets: likewise, 10."""
SAME = 0.8
"""Intersection over union of the bounds of two boxes from which on they hold the same line."""


@dataclass(frozen=True)
class Found:
    """A line of text.

    Attributes:
        quad: its corners on the canvas, from where its text begins.
        reading: what it says.
        score: mean probability of text inside it.
        height: in pixels that the detector saw.
    """

    quad: Quad
    reading: Reading
    score: float
    height: float

    @property
    def certainty(self) -> float:
        """0-1: the least of what the reader says, and of how well the detector could see it."""
        return min(self.reading.confidence, sight(self))


def sight(line: Seen | Found) -> float:
    """0-1: how well the detector could see a line."""
    return min(line.score / CLEAR_SCORE, line.height / CLEAR_HEIGHT, 1.0)


def read_seen(
    canvas: Canvas, seen: Sequence[Seen], before: Sequence[Found], ocr: Ocr, effort: Effort, batches: Batches
) -> list[Found]:
    """What a look saw, read.

    Args:
        canvas: the region.
        seen: its lines at this look.
        before: lines of the look before; those that were certain are not read again.
        ocr: the recogniser.
        effort: says what is certain enough.
        batches: is told of each call.
    """
    sure = [line for line in before if effort.enough(line.certainty)]
    known = [_same(line, sure) for line in seen]
    quads = [as_read(line.quad) for line in seen]
    new = [index for index, line in enumerate(known) if line is None]
    readings = read_lines([cut_out(canvas.pixels, quads[index]) for index in new], ocr, batches)
    read = dict(zip(new, readings, strict=True))
    return [
        Found(quads[index], read[index], line.score, line.height)
        if (old := known[index]) is None
        else replace(old, score=line.score, height=line.height)
        for index, line in enumerate(seen)
    ]


def _same(line: Seen, lines: Sequence[Found]) -> Found | None:
    return next((old for old in lines if _overlap(line.quad, old.quad) >= SAME), None)


def _overlap(a: Quad, b: Quad) -> float:
    """Intersection over union of the bounds."""
    near, far = np.maximum(a.min(0), b.min(0)), np.minimum(a.max(0), b.max(0))
    shared = float(np.prod(np.maximum(far - near, 0)))
    return shared / float(np.prod(np.ptp(a, 0)) + np.prod(np.ptp(b, 0)) - shared)
