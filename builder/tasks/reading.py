"""Tasks of the two OCR models: lines read without a mistake, lines found."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from builder.sources.task import Asked, Task
from builder.tasks.lettering import Box, line, page
from python_backends.visual_ops.text_boxes import find_boxes
from python_backends.visual_ops.text_lines import read_lines

LINES = 400
"""With so many right-or-wrong cases, no difference at all rules out a drop of one point."""
PAGES = 120
BATCH = 8


class ExactLines(Task):
    """Rendered lines, read by the code that serves (scaling, batching, CTC)."""

    name = "ocr-lines"
    metric = "the line is read without a mistake"

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = list(characters)

    def scores(self, ask: Callable[[Asked], Asked]) -> list[float]:
        """1 for every line that is read exactly."""
        rng = random.Random("ocr-lines")
        cases = [line(rng) for _ in range(LINES)]
        readings = read_lines([pixels for _, pixels in cases], _Reader(self.characters, ask))
        return [float(reading.text == text) for (text, _), reading in zip(cases, readings, strict=True)]


class _Reader:
    """`Ocr` as far as reading lines needs it."""

    def __init__(self, characters: list[str], ask: Callable[[Asked], Asked]) -> None:
        self.characters, self.ask = characters, ask

    def detect(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise NotImplementedError("lines are given, not looked for")

    def recognize(
        self, lines: NDArray[np.uint8], widths: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        found = self.ask({"LINE": lines, "WIDTH": widths[:, None].astype(np.int32)})
        return found["INDEX"].astype(np.int32), found["PROBABILITY"].astype(np.float32)


class FoundLines(Task):
    """Rendered pages, boxes by the post-processing that serves."""

    name = "ocr-boxes"
    metric = "the line has a box of its own with an IoU of 0.5 or more"

    def scores(self, ask: Callable[[Asked], Asked]) -> list[float]:
        """1 for every line that is found; two lines in one box are both lost."""
        rng = random.Random("ocr-boxes")
        pages = [page(rng) for _ in range(PAGES)]
        scores: list[float] = []
        for start in range(0, PAGES, BATCH):
            part = pages[start : start + BATCH]
            maps = ask({"IMAGE": np.stack([pixels for pixels, _ in part])})["MAP"]
            for (_, written), seen in zip(part, maps, strict=True):
                boxes = [_bounds(box.quad) for box in find_boxes(seen.astype(np.float32))]
                scores += [float(max((iou(line.box, box) for box in boxes), default=0.0) >= 0.5) for line in written]
        return scores


def _bounds(quad: NDArray[np.float32]) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = quad.min(0), quad.max(0)
    return float(left), float(top), float(right), float(bottom)


def iou(a: Box | tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
