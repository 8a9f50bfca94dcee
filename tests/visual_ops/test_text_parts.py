"""Letters, words, batches and the angle of a page: what READ_TEXT is put together from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_backends.visual_ops.reading_order import reading_order
from python_backends.visual_ops.text_letters import Letter, narrowed
from python_backends.visual_ops.text_lines import Batches, Reading, as_read, decode
from python_backends.visual_ops.text_looks import Canvas
from python_backends.visual_ops.text_turning import level, page_angle
from python_backends.visual_ops.text_words import words_of

CANVAS = Canvas(np.zeros((4, 4, 3), np.uint8), (-5000, -5000, 5000, 5000), 0)


def letters(text: str) -> list[Letter]:
    return [Letter(c, (i + 0.5) / len(text), 0.9) for i, c in enumerate(text)]


def text_of(found: list[Letter]) -> str:
    return "".join(letter.text for letter in found)


@given(st.text(st.characters(max_codepoint=0x24F), max_size=20))
def test_ordinary_letters_stay_as_they_are(text: str) -> None:
    assert narrowed(letters(text)) == letters(text)


@pytest.mark.parametrize(
    ("seen", "meant"),
    [
        ("Total：18.50", "Total: 18.50"),
        ("Total： 18.50", "Total: 18.50"),
        ("12：30", "12:30"),
        ("ＡＢ１２", "AB12"),
        ("（a）", "(a)"),
        ("合计：18", "合计：18"),
    ],
)
def test_full_width_forms_are_meant_among_ideographs_only(seen: str, meant: str) -> None:
    assert text_of(narrowed(letters(seen))) == meant


@given(st.text("ab c", min_size=1, max_size=30).map(str.strip).filter(bool))
def test_words_are_the_text_between_blanks_from_left_to_right(text: str) -> None:
    words = words_of(Reading(text, 0.9, tuple(letters(text))))
    assert [word.text for word in words] == text.split()
    ends = [end for word in words for end in word.span]
    assert ends == sorted(ends)
    assert ends[0] >= 0
    assert ends[-1] <= 1


def test_a_letter_is_where_its_column_is() -> None:
    index = np.array([0, 1, 1, 0, 2, 0, 1, 0], np.int32)
    reading = decode(index, np.full(8, 0.9, np.float32), ["", "a", " "], 1 / 7)
    assert reading.text == "a a"
    assert [letter.at for letter in reading.letters] == pytest.approx([1.5 / 7, 4.5 / 7, 6.5 / 7])


def test_a_word_stands_on_its_line() -> None:
    line = np.array([(10, 20), (110, 40), (108, 50), (8, 30)], np.float32)
    first, second = words_of(Reading("ab cd", 0.9, tuple(letters("ab cd"))))
    assert first.quad(line).tolist() == pytest.approx(np.array([(10, 20), (50, 28), (48, 38), (8, 30)]))
    assert second.quad(line)[1].tolist() == [110, 40]


def test_padding_is_added_up() -> None:
    batches = Batches()
    assert batches.padding_share == 0
    batches.add(160, [160, 120])
    batches.add(80, [80])
    assert (batches.calls, batches.lines, batches.padding_share) == (2, 3, 0.1)


def test_a_line_that_runs_downwards_begins_at_its_top() -> None:
    quad = np.array([(0, 0), (10, 0), (10, 50), (0, 50)], np.float32)
    assert as_read(quad).tolist() == [[10, 0], [10, 50], [0, 50], [0, 0]]
    assert as_read(quad, upside_down=True)[0].tolist() == [0, 50]
    assert as_read(quad[:, ::-1][[0, 3, 2, 1]]).tolist() == [[0, 0], [50, 0], [50, 10], [0, 10]]


@given(st.floats(-180, 180), st.integers(3, 6), st.booleans())
def test_the_order_of_a_page_does_not_depend_on_its_angle(degrees: float, rows: int, columns: bool) -> None:
    at = [(x, 30.0 * row) for x in ((0.0, 300.0) if columns else (0.0,)) for row in range(rows)]
    angle = math.radians(degrees)
    turn = np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
    quads = [np.array([(x, y), (x + 250, y), (x + 250, y + 14), (x, y + 14)], np.float32) @ turn for x, y in at]
    assert math.remainder(page_angle(quads) - angle, 2 * math.pi) == pytest.approx(0, abs=1e-4)
    assert reading_order(level(quads, CANVAS)) == [[index] for index in range(len(at))]


def test_short_lines_do_not_say_how_a_page_is_turned() -> None:
    square = np.array([(0, 0), (9, 5), (4, 14), (-5, 9)], np.float32)
    assert page_angle([square]) == 0
    assert page_angle([]) == 0
