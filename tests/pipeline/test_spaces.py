"""Coordinates of views and of originals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_backends.pipeline.spaces import Frame, Space, arguments_to_original, result_to_view

SPACES: tuple[Space, ...] = ("view_pixels", "relative_1000", "relative_1")


@pytest.mark.parametrize(("space", "middle"), [("view_pixels", 84), ("relative_1000", 500), ("relative_1", 0.5)])
def test_the_middle_of_every_space_is_the_middle(space: Space, middle: float) -> None:
    assert Frame(0, (100, 200, 300, 600), (168, 168)).to_original((middle, middle), space) == (200, 400)


@given(
    st.sampled_from(SPACES),
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_there_and_back(space: Space, x: int, y: int, w: int, h: int, u: float, v: float) -> None:
    frame = Frame(0, (x, y, x + w, y + h), (168, 168))
    at = (x + u * w, y + v * h)
    seen = frame.to_view(at, space)
    again = frame.to_original((float(seen[0]), float(seen[1])), space)
    step = {"view_pixels": 168, "relative_1000": 1000, "relative_1": 1000}[space]
    assert again[0] == pytest.approx(at[0], abs=w / step + 0.02)
    assert again[1] == pytest.approx(at[1], abs=h / step + 0.02)


@given(st.sampled_from(SPACES), st.integers(1, 9000), st.integers(0, 10**6 - 1))
def test_what_is_inside_a_view_is_inside_the_original(space: Space, side: int, millionths: int) -> None:
    frame = Frame(0, (7, 0, 7 + side, side), (168, 168))
    share = millionths / 10**6
    x, y = frame.to_original(tuple(share * unit for unit in frame.units(space)), space)
    assert 7 <= x < 7 + side
    assert 0 <= y < side
    assert frame.to_original(frame.units(space), space) == (7 + side, side)


def test_only_coordinates_are_mapped_and_only_well_formed_ones() -> None:
    frame = Frame(0, (0, 0, 1680, 1680), (168, 168))
    arguments = {
        "region": [1, 2, 3, 4],
        "center": [5, 6],
        "zoom_factor": 2,
        "point": "x",
        "bbox": [1, 2],
        "init_bbox": [1],
    }
    assert arguments_to_original(arguments, frame, "view_pixels") == {
        "region": [10, 20, 30, 40],
        "center": [50, 60],
        "zoom_factor": 2,
        "point": "x",
        "bbox": [10, 20],
        "init_bbox": [1],
    }
    assert arguments_to_original({"region": [float("nan"), 0, True, 1]}, frame, "view_pixels")["region"][1:] == [
        0,
        True,
        1,
    ]


def test_boxes_of_a_track_and_of_an_example_are_mapped() -> None:
    frame = Frame(0, (0, 0, 336, 336), (168, 168))
    result = {"boxes": [[10, 20, 30, 40], None], "lost": [[1, 2]], "velocity": [4, 6]}
    shown = result_to_view(result, frame, "view_pixels")
    assert shown == {"boxes": [[5, 10, 15, 20], None], "lost": [[1, 2]], "velocity": [4, 6]}
    query = {"bbox": [5, 10, 15, 20], "frame": 3}
    asked = arguments_to_original({"query": query}, frame, "view_pixels")
    assert asked == {"query": {"bbox": [10, 20, 30, 40], "frame": 3}}
    assert arguments_to_original({"query": "exit"}, frame, "view_pixels") == {"query": "exit"}


def test_results_go_back_in_the_space_that_the_policy_writes() -> None:
    frame = Frame(0, (100, 100, 300, 300), (168, 168), whole=False)
    found = {"text": "a", "region": [100, 100, 300, 300], "lines": [{"text": "a", "box": [200, 200, 300, 300]}]}
    assert result_to_view(found, frame, "relative_1000") == {
        "text": "a",
        "region": [0, 0, 1000, 1000],
        "lines": [{"text": "a", "box": [500, 500, 1000, 1000]}],
    }
