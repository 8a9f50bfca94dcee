"""READ_TEXT with the real models."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pixelis.errors import InvalidOperation
from python_backends.images import Pixels
from python_backends.visual_ops.ocr import EngineOcr
from python_backends.visual_ops.read_text import read_text
from python_backends.visual_ops.reading_order import reading_order
from python_backends.visual_ops.text_boxes import find_boxes, in_reading_order
from python_backends.visual_ops.text_lines import BUCKET, decode, read_lines
from tests.visual_ops.lines import rendered, samples

PAGE = (
    "It was a bright cold day in April, and the clocks",
    "were striking thirteen. A man with his chin down",
    "slipped quickly through the glass doors, though not",
    "quickly enough to prevent a swirl of gritty dust",
    "from entering along with him.",
)


def page(lines: tuple[str, ...], size: int = 40) -> Image.Image:
    image = Image.new("RGB", (1300, 120 + 80 * len(lines)), (236, 232, 222))
    for row, line in enumerate(lines):
        ImageDraw.Draw(image).text((90, 60 + 80 * row), line, fill=(30, 30, 40), font=ImageFont.load_default(size))
    return image


def test_fifty_rendered_lines_are_read_exactly(ocr: EngineOcr) -> None:
    lines = samples(50, seed=11)
    exact = sum(read_text(image, {}, ocr)["text"] == text for text, image in lines)
    assert exact >= 49


def test_a_photographed_page_is_read_in_order(ocr: EngineOcr) -> None:
    flat = np.asarray(page(PAGE))
    height, width = flat.shape[:2]
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    seen = np.array([(60, 20), (width - 20, 50), (width - 60, height - 10), (10, height - 40)], np.float32)
    tilted = cv2.warpPerspective(
        flat, cv2.getPerspectiveTransform(corners, seen), (width, height), borderValue=(90, 70, 60)
    )
    noise = np.random.default_rng(0).normal(0, 8, tilted.shape) - np.linspace(0, 60, width)[None, :, None]
    photo = np.clip(tilted + noise, 0, 255).astype(np.uint8)
    assert read_text(photo, {}, ocr)["text"].split("\n") == list(PAGE)


def test_a_region_is_read_and_its_boxes_are_in_the_original(ocr: EngineOcr) -> None:
    image = np.full((600, 800, 3), 200, np.uint8)
    label = rendered("HARBOUR", 40, (45, 85, 210), (250, 250, 250), 14)
    image[300 : 300 + label.shape[0], 400 : 400 + label.shape[1]] = label
    region = [390, 290, 410 + label.shape[1], 310 + label.shape[0]]
    found = read_text(image, {"region": region}, ocr)
    assert found["text"] == "HARBOUR"
    x1, y1, x2, y2 = found["lines"][0]["box"]
    assert 400 <= x1 + 6 < x1 + 30 < x2 <= 406 + label.shape[1]
    assert 300 <= y1 + 6 < y2 <= 306 + label.shape[0]
    assert found["confidence"] > 0.9
    normalised = [region[0] / 800, region[1] / 600, region[2] / 800, region[3] / 600]
    assert read_text(image, {"region": normalised, "normalized": True}, ocr)["text"] == "HARBOUR"


def test_boxes_can_be_left_out(ocr: EngineOcr) -> None:
    image = rendered("Kitchen", 30, (255, 255, 255), (0, 0, 0), 10)
    assert "box" in read_text(image, {}, ocr)["lines"][0]
    assert "box" not in read_text(image, {"return_boxes": False}, ocr)["lines"][0]


@pytest.mark.parametrize("degrees", [-15, -7, 7, 15, 173, 180])
def test_a_turned_page_is_read_in_order(ocr: EngineOcr, degrees: int) -> None:
    turned = page(PAGE[:3]).rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(236, 232, 222))
    found = read_text(np.asarray(turned), {"return_words": True}, ocr)
    assert found["text"].split("\n") == list(PAGE[:3])
    first, last = found["lines"][0]["words"][0]["box"], found["lines"][0]["words"][-1]["box"]
    assert (first[0] < last[0]) == (abs(degrees) < 90)


def test_words_have_boxes_and_confidences(ocr: EngineOcr) -> None:
    image = rendered("north Kitchen 24", 40, (255, 255, 255), (0, 0, 0), 30)
    (line,) = read_text(image, {"return_words": True}, ocr)["lines"]
    assert [word["text"] for word in line["words"]] == ["north", "Kitchen", "24"]
    ink = np.flatnonzero((image.mean(2) < 128).any(0))
    gaps = np.flatnonzero(np.diff(ink) > 8)
    starts, ends = ink[np.r_[0, gaps + 1]], ink[np.r_[gaps, -1]]
    for word, start, end in zip(line["words"], starts.tolist(), ends.tolist(), strict=True):
        x1, y1, x2, y2 = word["box"]
        assert 0.9 < word["confidence"] <= 1
        assert abs(x1 - start) < 14
        assert abs(x2 - end) < 14
        assert line["box"][1] <= y1 < y2 <= line["box"][3]
    assert "words" not in read_text(image, {}, ocr)["lines"][0]
    with pytest.raises(InvalidOperation, match="`return_words` of READ_TEXT must be true or false"):
        read_text(image, {"return_words": 1}, ocr)


def test_a_region_is_clipped(ocr: EngineOcr) -> None:
    image = rendered("Kitchen", 30, (255, 255, 255), (0, 0, 0), 10)
    found = read_text(image, {"region": [-50, -50, 5000, 5000]}, ocr)
    assert found["region"] == [0, 0, image.shape[1], image.shape[0]]
    assert found["text"] == "Kitchen"


@pytest.mark.parametrize("region", [[900, 0, 1000, 50], [10, 10, 10, 20], [-20, -20, 0, 0]])
def test_an_empty_region_is_an_error(ocr: EngineOcr, region: list[int]) -> None:
    with pytest.raises(InvalidOperation, match=r"is empty|does not overlap"):
        read_text(np.zeros((100, 100, 3), np.uint8), {"region": region}, ocr)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 2000), (40, 40)])
def test_pictures_without_text_have_none(ocr: EngineOcr, shape: tuple[int, int]) -> None:
    found = read_text(np.full((*shape, 3), 128, np.uint8), {}, ocr)
    assert (found["text"], found["lines"], found["confidence"]) == ("", [], 0.0)


def test_lines_of_different_widths_are_batched_and_keep_their_places(ocr: EngineOcr) -> None:
    written = samples(20, seed=3)
    calls: list[tuple[int, ...]] = []

    class Counting:
        characters = ocr.characters

        def detect(self, image: Pixels) -> NDArray[np.float32]:
            return ocr.detect(image)

        def recognize(
            self, lines: NDArray[np.uint8], widths: NDArray[np.int32]
        ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
            calls.append(lines.shape)
            assert (widths <= lines.shape[2]).all()
            return ocr.recognize(lines, widths)

    texts = [reading.text for reading in read_lines([image for _, image in written], Counting())]
    assert sum(a == b for a, (b, _) in zip(texts, written, strict=True)) >= 19
    assert sum(shape[0] for shape in calls) == 20
    assert len(calls) < 18
    assert all(shape[0] <= 8 and shape[2] % BUCKET == 0 for shape in calls)


def test_ctc_collapses_repeats_and_drops_blanks() -> None:
    index = np.array([0, 1, 1, 0, 1, 2, 2, 0, 3, 0], np.int32)
    probability = np.array([1, 0.9, 0.1, 1, 0.8, 0.7, 0.1, 1, 0.6, 1], np.float32)
    reading = decode(index, probability, ["", "l", "o", " "])
    assert reading.text == "llo"
    assert reading.confidence == pytest.approx((0.9 + 0.8 + 0.7 + 0.6) / 4)
    assert decode(np.zeros(4, np.int32), np.ones(4, np.float32), ["", "a"]).confidence == 0.0


def test_boxes_of_a_map_are_grown_to_the_letters_height() -> None:
    probability = np.zeros((64, 128), np.float32)
    probability[28:36, 20:100] = 0.9
    probability[50:52, 10:12] = 0.9  # a speck
    probability[5:15, 20:60] = 0.35  # over the threshold, under the score
    (box,) = find_boxes(probability)
    (x1, y1), (x2, y2) = box.quad.min(0).tolist(), box.quad.max(0).tolist()
    grow = 1.6 * 80 * 8 / (2 * (80 + 8))
    assert (x1, y1, x2, y2) == pytest.approx((20 - grow, 28 - grow, 100 + grow, 36 + grow), abs=1.6)


def test_corners_begin_at_the_top_left() -> None:
    corners = np.array([(10, 5), (0, 5), (10, 0), (0, 0)], np.float32)
    assert in_reading_order(corners).tolist() == [[0, 0], [10, 0], [10, 5], [0, 5]]


def test_rows_are_read_from_left_to_right() -> None:
    boxes = [(60, 1, 100, 11), (0, 20, 50, 30), (0, 0, 50, 10), (60, 22, 100, 32)]
    assert reading_order(boxes) == [[2, 0], [1, 3]]


def test_columns_of_prose_are_read_one_after_the_other() -> None:
    left = [(0, 20 * row, 200, 20 * row + 12) for row in range(4)]
    right = [(240, 20 * row, 440, 20 * row + 12) for row in range(4)]
    assert reading_order([*left, *right]) == [[i] for i in range(8)]


def test_rows_of_a_table_stay_together() -> None:
    left = [(0, 20 * row, 40 + 10 * row, 20 * row + 12) for row in range(4)]
    right = [(240, 20 * row, 280, 20 * row + 12) for row in range(4)]
    assert reading_order([*left, *right]) == [[i, i + 4] for i in range(4)]
