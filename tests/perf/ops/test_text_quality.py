"""Labelled lines and pages, and the measure of how well they are read."""

from __future__ import annotations

from itertools import islice

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perf.ops.labels.text_lines import FIXED, HELD_OUT, lines
from perf.ops.labels.text_pages import pages
from perf.ops.text_distance import distance, in_order, iou
from perf.ops.text_quality import claims, line_scores, page_scores, plain
from pixelis.operations_config import Ladder
from python_backends.visual_ops.ocr import EngineOcr
from tests.visual_ops.conftest import ocr

__all__ = ["ocr"]

SHORT = st.text("abc ", max_size=8)


@given(SHORT, SHORT, SHORT)
def test_distance_is_a_metric(a: str, b: str, c: str) -> None:
    assert distance(a, b) == distance(b, a) <= max(len(a), len(b))
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


def test_distance_counts_changes() -> None:
    assert [distance("harbour", said) for said in ("harbor", "Harbour", "harbour 4", "")] == [1, 1, 2, 7]


def test_lines_count_in_their_order() -> None:
    assert in_order(["a", "b", "c"], ["a", "b", "c"]) == 3
    assert in_order(["a", "b", "c"], ["b", "x", "c", "a"]) == 2
    assert iou((0, 0, 10, 10), (5, 0, 15, 10)) == 1 / 3


def test_lines_are_those_of_their_seed() -> None:
    first, again, other = (list(lines(12, seed)) for seed in (FIXED, FIXED, HELD_OUT))
    assert [line.text for line in first] == [line.text for line in again] != [line.text for line in other]
    assert all((a.pixels == b.pixels).all() for a, b in zip(first, again, strict=True))
    assert [line.text for line in lines(5)] == [line.text for line in first[:5]]


def test_lines_are_as_various_as_they_say() -> None:
    drawn = list(lines(150, seed=1))
    assert {line.ground for line in drawn} == {"dark on light", "light on dark", "coloured", "photograph"}
    assert min(line.setting.size for line in drawn) <= 12
    assert max(line.setting.size for line in drawn) >= 58
    angles = [line.setting.angle for line in drawn]
    assert -15 <= min(angles) < -10
    assert 10 < max(angles) <= 15
    assert 50 < angles.count(0.0) < 110


def test_an_upside_down_line_is_the_same_line_turned() -> None:
    upright, over = next(iter(lines(1, 4))), next(iter(lines(1, 4, upside_down=1.0)))
    assert upright.text == over.text
    assert over.upside_down
    assert (over.pixels[::-1, ::-1] == upright.pixels).all()


def test_boxes_of_a_page_are_around_its_ink() -> None:
    for page in islice(pages(40, 2), 4):
        assert [word.text for word in page.words] == page.text.split()
        grey = page.pixels.astype(float).mean(2)
        outside = np.ones(grey.shape, bool)
        for line in page.lines:
            x1, y1, x2, y2 = line.box
            outside[int(y1) - 1 : int(y2) + 2, int(x1) - 1 : int(x2) + 2] = False
        assert np.ptp(grey[outside]) < 0.7 * np.ptp(grey)


def test_both_ways_are_measured_on_the_same_texts(ocr: EngineOcr) -> None:
    said = [line.text for line in lines(6)]
    scores = line_scores(ocr, Ladder(steps=(0.5, 1.0), enough=0.9), 6, FIXED, lambda _: said[0], lambda: None)
    assert [scores[way].texts for way in ("full", "ladder", "rapidocr")] == [6, 6, 6]
    assert scores["rapidocr"].exact == said.count(said[0])
    assert scores["full"].exact >= 5
    assert scores["full"].steps == {1.0: 6}
    assert sum(scores["ladder"].steps.values()) == 6
    assert 0 <= scores["full"].batches.padding_share < 1
    better, lost = claims("fixed", scores)
    assert better.met
    assert lost.measured == round(scores["full"].rate - scores["ladder"].rate, 2)
    assert scores["full"].row(row="lines")["exact %"] == round(100 * scores["full"].exact / 6, 2)


def test_pages_are_read_in_order_with_words_in_their_places(ocr: EngineOcr) -> None:
    score = page_scores(ocr, Ladder(), 1, 3, lambda: None)["full"]
    assert score.exact >= score.texts - 1
    assert score.placed >= 0.9 * score.words
    assert plain(" a \n b ") == "a b"
