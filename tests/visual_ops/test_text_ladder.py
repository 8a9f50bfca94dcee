"""READ_TEXT by its ladder: how close it looks, and what it leaves out."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from pixelis.operations_config import FULL, Ladder
from python_backends.images import Pixels
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.ocr import EngineOcr
from python_backends.visual_ops.read_text import read_text
from python_backends.visual_ops.text_found import Found
from python_backends.visual_ops.text_letters import Letter
from python_backends.visual_ops.text_lines import Batches, Reading
from python_backends.visual_ops.text_looks import canvas_of
from python_backends.visual_ops.text_turning import upside_down
from tests.visual_ops.lines import rendered

LADDER = Ladder(steps=(0.5, 1.0), enough=0.9)
PAPER, INK = (245, 245, 245), (15, 15, 15)


def poster(size: int, rows: int = 3) -> tuple[Pixels, list[str]]:
    """Lines of letters of one size on 1200 pixels of width."""
    texts = [f"Platform {row + 3} to the harbour" for row in range(rows)]
    page = np.full((rows * 3 * size + 2 * size, 1200, 3), PAPER, np.uint8)
    for row, text in enumerate(texts):
        line = rendered(text, size, PAPER, INK, 2)
        top = size + 3 * size * row
        page[top : top + line.shape[0], 60 : 60 + line.shape[1]] = line
    return page, texts


def test_large_letters_are_read_at_the_lowest_step(ocr: EngineOcr) -> None:
    page, texts = poster(60)
    effort = Effort(LADDER)
    assert read_text(page, {}, ocr, effort)["text"].split("\n") == texts
    assert (effort.looks, effort.resolution, effort.skipped) == (1, 0.5, [])


def test_small_letters_are_looked_at_again_and_read_once(ocr: EngineOcr) -> None:
    page, texts = poster(12)
    effort, batches = Effort(Ladder(steps=(0.3, 1.0), enough=0.9)), Batches()
    assert read_text(page, {}, ocr, effort, batches)["text"].split("\n") == texts
    assert (effort.looks, effort.resolution) == (2, 1.0)
    assert batches.lines == len(texts)


def test_full_is_one_look_at_full_resolution(ocr: EngineOcr) -> None:
    page, texts = poster(60)
    effort = Effort(FULL)
    found = read_text(page, {}, ocr, effort)
    assert found["text"].split("\n") == texts
    assert (effort.looks, effort.resolution, effort.skipped) == (1, 1.0, [])
    assert read_text(page, {}, ocr) == found


def test_a_picture_without_text_is_looked_at_in_full(ocr: EngineOcr) -> None:
    effort = Effort(LADDER)
    assert read_text(np.full((200, 300, 3), 90, np.uint8), {}, ocr, effort)["lines"] == []
    assert effort.resolution == 1.0


class Turned:
    """A recogniser that is sure of everything."""

    characters: ClassVar[list[str]] = ["", "a"]

    def __init__(self) -> None:
        self.lines = 0

    def detect(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise AssertionError("nothing is to be detected")

    def recognize(
        self, lines: NDArray[np.uint8], widths: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        self.lines += len(lines)
        return np.ones((len(lines), 4), np.int32), np.ones((len(lines), 4), np.float32)


@pytest.mark.parametrize(
    ("confidences", "early", "asked", "skipped"),
    [
        ([0.5, 0.5], True, 2, []),
        ([0.5, 0.95], True, 0, ["180 degree check"]),
        ([0.5, 0.95], False, 1, []),
        ([0.95, 0.99], True, 0, []),
    ],
)
def test_doubtful_lines_are_tried_upside_down(
    confidences: list[float], early: bool, asked: int, skipped: list[str]
) -> None:
    canvas = canvas_of(np.zeros((100, 200, 3), np.uint8), (0, 0, 200, 100))
    quad = np.array([(10, 10), (90, 10), (90, 30), (10, 30)], np.float32)
    lines = [Found(quad, Reading("x", c, (Letter("x", 0.5, c),)), 0.9, 40.0) for c in confidences]
    ocr, effort = Turned(), Effort(LADDER if early else FULL)
    found = upside_down(canvas, lines, ocr, effort, Batches())
    assert (ocr.lines, effort.skipped) == (asked, skipped)
    texts = ["a" if asked and c < 0.9 else "x" for c in confidences]
    assert [line.reading.text for line in found] == texts
    assert [line.quad[0].tolist() for line in found] == [[90, 30] if t == "a" else [10, 10] for t in texts]
