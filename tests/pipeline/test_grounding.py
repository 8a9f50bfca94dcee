"""Answers in grounding form come back in pixels of the original."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_backends.pipeline.grounding import located
from python_backends.pipeline.spaces import Frame

FRAMES = [Frame(0, (0, 0, 336, 168), (168, 168)), Frame(1, (0, 0, 1000, 500), (168, 168))]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ('{"point_2d": [84, 42]}', {"point_2d": [168, 42]}),
        ('{"bbox_2d": [0, 0, 84, 168], "label": "a"}', {"bbox_2d": [0, 0, 168, 168], "label": "a"}),
        ('[{"point_2d": [84, 42]}, {"point_2d": [0, 0]}]', [{"point_2d": [168, 42]}, {"point_2d": [0, 0]}]),
        ('```json\n{"point_2d": [84, 42]}\n```', {"point_2d": [168, 42]}),
        ('{"point_2d": [84, 42], "target_image": 2}', {"point_2d": [500, 125], "target_image": 2}),
    ],
)
def test_coordinates_are_mapped(said: str, meant: object) -> None:
    assert json.loads(located(said, FRAMES, "view_pixels")) == meant


def test_the_space_of_the_checkpoint_counts() -> None:
    assert json.loads(located('{"point_2d": [500, 250]}', FRAMES, "relative_1000")) == {"point_2d": [168, 42]}


@pytest.mark.parametrize(
    "said",
    [
        *("red", "3", "{}", "[]", "[1, 2]", '{"point_2d": [1]}', '{"point_2d": "x"}', '{"point_2d": [true, 1]}'),
        "[" * 5000,
        '{"point_2d": [1, 2], "label": "\\ud800"}',
        '{"point_2d": [1, 2], "label": NaN}',
        '{"point_2d": [1, 2], "label": 1e999}',
        '{"point_2d": [1, 2], "label": ' + "[" * 900 + "]" * 900 + "}",
    ],
)
def test_any_other_answer_stays(said: str) -> None:
    assert located(said, FRAMES, "view_pixels") == said


@given(st.text(max_size=60))
def test_no_text_is_an_error(said: str) -> None:
    assert isinstance(located(said, FRAMES, "view_pixels"), str)
