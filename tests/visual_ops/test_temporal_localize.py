"""TEMPORAL_LOCALIZE: words and examples, and spans of scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pixelis.errors import InvalidOperation
from pixelis.operations_config import FULL, Ladder
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.example import example_scores
from python_backends.visual_ops.features import EngineFeatures
from python_backends.visual_ops.ocr import EngineOcr
from python_backends.visual_ops.segments import segments
from python_backends.visual_ops.temporal_localize import temporal_localize
from python_backends.visual_ops.words import match, word_scores
from tests.visual_ops.clips import Pixels, clip, visible


def sign(text: str) -> Pixels:
    image = Image.new("RGB", (320, 160), (200, 210, 220))
    if text:
        ImageDraw.Draw(image).text((40, 50), text, fill=(20, 20, 60), font=ImageFont.load_default(44))
    return np.asarray(image, np.uint8)


def test_words_are_found_where_they_can_be_read(ocr: EngineOcr, features: EngineFeatures) -> None:
    frames = [sign("")] * 3 + [sign("Platform 3")] * 4 + [sign("Kitchen")] * 2
    effort = Effort(Ladder())
    found = temporal_localize(frames, 0, {"query": "PLATFORM 3", "fps": 2.0}, ocr, features, effort)
    (span,) = found["segments"]
    assert (span["start"], span["end"], span["start_s"], span["end_s"]) == (3, 7, 1.5, 3.5)
    assert span["score"] >= 0.9
    assert found["method"] == "ocr"
    assert found["read"] == [0, 3, 7]  # the others look the same
    assert effort.skipped == ["frames 1-2, 4-6, 8"]
    plain = temporal_localize(frames, 0, {"query": "PLATFORM 3", "fps": 2.0}, ocr, features)
    assert plain == {**found, "read": list(range(9))}
    assert len(found["scores"]) == len(frames)
    assert temporal_localize(frames, 0, {"query": "violet"}, ocr, features, effort)["segments"] == []


def test_not_every_one_of_many_frames_is_read() -> None:
    class Counting:
        calls = 0

        @property
        def characters(self) -> list[str]:
            return ["", "a"]

        def detect(self, image: Pixels) -> NDArray[np.float32]:
            self.calls += 1
            return np.zeros(image.shape[:2], np.float32)

        def recognize(self, lines: Pixels, widths: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
            return np.zeros((len(lines), 1), np.int32), np.zeros((len(lines), 1), np.float32)

    nothing = Counting()
    frames = [np.full((64, 64, 3), 40 + 4 * i, np.uint8) for i in range(40)]
    scores, read = word_scores(frames, "exit", nothing, 0.7, Effort(Ladder()))
    assert scores == [0.0] * 40
    assert len(read) <= 10
    assert nothing.calls <= 2 * len(read)
    assert word_scores(frames, "exit", nothing, 0.7, Effort())[1] == list(range(40))


@pytest.mark.parametrize(
    ("query", "text", "least", "most"),
    [
        ("exit", "Open 24h\nEXIT ->", 1, 1),
        ("platform 3", "Platform 8 to the sea", 0.85, 0.95),
        ("exit", "exlt", 0.7, 0.8),
        ("open now", "the shop is OPEN\nNOW and here", 1, 1),
        ("violet", "Total 18.50", 0, 0.5),
        ("violet", "", 0, 0),
    ],
)
def test_a_passage_that_is_like_a_query(query: str, text: str, least: float, most: float) -> None:
    assert least <= match(query, text) <= most


def test_an_example_is_found_while_it_is_there(ocr: EngineOcr, features: EngineFeatures) -> None:
    """Measured on 40 clips each: 91 % of frames right, 95 % on those of the nano."""
    right = total = 0
    for seed in range(300, 315):
        made = clip(seed)
        query = {"bbox": list(made.boxes[0]), "frame": 0}
        found = temporal_localize(made.frames, 0, {"query": query, "fps": 8.0}, ocr, features)
        assert found["method"] == "features"
        assert found["scores"][0] == pytest.approx(1, abs=0.01)
        inside = {i for span in found["segments"] for i in range(span["start"], span["end"])}
        for i, box in enumerate(made.boxes):
            if not 0.1 < visible(box) < 0.7:
                right += (i in inside) == (visible(box) >= 0.7)
                total += 1
    assert right / total >= 0.85


def test_an_example_is_in_the_frame_of_the_call_unless_it_says_so(ocr: EngineOcr, features: EngineFeatures) -> None:
    made = clip(301)
    box = list(made.boxes[1])
    called = temporal_localize(made.frames, 1, {"query": {"bbox": box}}, ocr, features)
    named = temporal_localize(made.frames, 0, {"query": {"bbox": box, "frame": 1}}, ocr, features)
    assert called == named


def test_a_small_example_is_looked_for_closely(features: EngineFeatures) -> None:
    frames = [np.full((400, 400, 3), (150, 170, 140), np.uint8) for _ in range(4)]
    for frame in frames[:2]:
        frame[300:330, 340:370] = (200, 30, 30)
        frame[310:320, 350:360] = (250, 250, 40)
    for ladder in (FULL, Ladder()):
        scores = example_scores(frames, 0, (338, 298, 372, 332), features, 0.4, Effort(ladder))
        assert min(scores[:2]) > 0.9
        assert max(scores[2:]) < 0.3


def test_an_example_that_is_its_whole_frame(features: EngineFeatures) -> None:
    frames = [clip(seed).frames[0] for seed in (0, 1)]
    scores = example_scores([frames[0], frames[0], frames[1]], 0, (0, 0, 480, 480), features, 0.4, Effort())
    assert scores[0] == scores[1] == 1
    assert scores[2] < 0.9


@pytest.mark.parametrize(
    ("scores", "fps", "spans"),
    [
        ([0, 0, 0.9, 0.8, 0], 1, [(2, 4)]),
        ([0.9, 0.1, 0.9], 1, [(0, 3)]),  # a gap of one frame
        ([0.9, 0.1, 0.1, 0.9], 1, [(0, 1), (3, 4)]),
        ([0.9, 0.1, 0.1, 0.9], 10, [(0, 4)]),  # 0.2 seconds
        ([0.46, 0.6, 0.46, 0.4], 1, [(0, 3)]),  # it stays at 0.9 of the threshold
        ([0.4, 0.45, 0.4], 1, []),
        ([], 1, []),
        ([1.0] * 3, 1, [(0, 3)]),
    ],
)
def test_spans(scores: list[float], fps: float, spans: list[tuple[int, int]]) -> None:
    found = segments(scores, 0.5, fps)
    assert [(span["start"], span["end"]) for span in found] == spans
    assert [(span["start_s"], span["end_s"]) for span in found] == [(a / fps, b / fps) for a, b in spans]


FRAMES = [np.zeros((50, 60, 3), np.uint8)] * 2


@pytest.mark.parametrize(
    ("frames", "arguments", "text"),
    [
        (FRAMES, {}, "`query` of TEMPORAL_LOCALIZE must be words to be read in the frames, or an example"),
        (FRAMES, {"query": 5}, "words to be read in the frames, or an example"),
        (FRAMES, {"query": ""}, "words to be read in the frames, or an example"),
        (FRAMES, {"query": " -! "}, "no letter or digit"),
        (FRAMES, {"query": "   "}, "no letter or digit"),
        (FRAMES, {"query": {"frame": 1}}, "an example {"),
        (FRAMES, {"query": {"bbox": [1, 1, math.nan, 9]}}, "an example {"),
        (FRAMES, {"query": {"bbox": [5, 5, 5, 9]}}, "is empty"),
        (FRAMES, {"query": "exit", "fps": math.inf}, "`fps` of TEMPORAL_LOCALIZE must be frames a second"),
        (
            FRAMES,
            {"query": {"bbox": [0, 0, 9, 9], "frame": 2}},
            "`frame` 2 of the example is out of range: there are 2",
        ),
        (FRAMES, {"query": {"bbox": [90, 0, 99, 9]}}, "does not overlap the image bounds (60x50)"),
        (FRAMES, {"query": "exit", "threshold": 2}, "`threshold` of TEMPORAL_LOCALIZE must be a number from 0 to 1"),
        ([*FRAMES, np.zeros((50, 61, 3), np.uint8)], {"query": {"bbox": [0, 0, 9, 9]}}, "Frame 2 is 61x50"),
    ],
)
def test_bad_arguments(
    ocr: EngineOcr, features: EngineFeatures, frames: list[Pixels], arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidOperation) as raised:
        temporal_localize(frames, 0, arguments, ocr, features)
    assert text in str(raised.value)
