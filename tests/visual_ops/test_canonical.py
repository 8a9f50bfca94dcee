"""Operations that ask for the same have one spelling, and its result is theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelis.schema import Operation, OperationName
from python_backends.visual_ops import operate
from python_backends.visual_ops.canonical import canonical
from python_backends.visual_ops.features import EngineFeatures
from python_backends.visual_ops.ocr import EngineOcr

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
IMAGE[20:40, 30:60] = (200, 30, 30)
SIZE = (80, 60)
MASK = {"size": [60, 80], "counts": [100, 200, 4500]}


def asked(name: str, **arguments: Any) -> Operation:
    return Operation(operation=OperationName(name), arguments=arguments)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (asked("READ_TEXT"), asked("READ_TEXT", region=[0, 0, 80, 60], return_boxes=True)),
        (asked("READ_TEXT", region=[10.2, 5.0, 39.9, 50]), asked("READ_TEXT", region=[10, 5, 40, 50])),
        (asked("READ_TEXT", region=[-5, -5, 300, 50]), asked("READ_TEXT", region=[0, 0, 80, 50])),
        (asked("READ_TEXT", region=[0, 0, 0.5, 1], normalized=True), asked("READ_TEXT", region=[0, 0, 40, 60])),
        (asked("SEGMENT_OBJECT_AT", point=[40, 30]), asked("SEGMENT_OBJECT_AT", point=[40.0, 30.0], threshold=0.5)),
        (asked("GET_PROPERTIES", bbox=[30.5, 20, 60, 40]), asked("GET_PROPERTIES", bbox=[30, 20, 60, 40])),
        (
            asked("TRACK_OBJECT", init_bbox=[0.5, 0.5, 1, 1], normalized=True),
            asked("TRACK_OBJECT", init_bbox=[40, 30, 80, 60], fps=1.0),
        ),
        (
            asked("TEMPORAL_LOCALIZE", query={"bbox": [1.2, 2, 9, 9]}),
            asked("TEMPORAL_LOCALIZE", query={"bbox": [1, 2, 9, 9]}),
        ),
    ],
)
def test_what_asks_for_the_same_is_spelled_the_same(one: Operation, other: Operation) -> None:
    assert canonical(one, SIZE).model_dump_json() == canonical(other, SIZE).model_dump_json()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (asked("READ_TEXT"), asked("READ_TEXT", return_boxes=False)),
        (asked("READ_TEXT", region=[0, 0, 40, 60]), asked("READ_TEXT", region=[0, 0, 41, 60])),
        (asked("SEGMENT_OBJECT_AT", point=[40, 30]), asked("SEGMENT_OBJECT_AT", point=[40.5, 30])),
        (asked("GET_PROPERTIES", bbox=[0, 0, 60, 40]), asked("GET_PROPERTIES", mask=MASK)),
        (asked("TEMPORAL_LOCALIZE", query="a"), asked("TEMPORAL_LOCALIZE", query="b")),
        (asked("TRACK_OBJECT", init_bbox=[0, 0, 9, 9]), asked("TRACK_OBJECT", init_bbox=[0, 0, 9, 9], fps=2.0)),
        (asked("ZOOM_IN", region=[0, 0, 0.5, 0.5]), asked("ZOOM_IN", region=[0, 0, 0.5, 0.5], normalized=True)),
    ],
)
def test_what_asks_for_something_else_is_not(one: Operation, other: Operation) -> None:
    assert canonical(one, SIZE).model_dump_json() != canonical(other, SIZE).model_dump_json()


NUMBER = st.floats(-20, 100) | st.floats(0, 1) | st.integers(-5, 90)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "region": st.lists(NUMBER, min_size=3, max_size=5),
        "bbox": st.lists(NUMBER, min_size=4, max_size=4),
        "mask": st.sampled_from([MASK, {"size": [1, 1], "counts": [1]}, "x"]),
        "center": st.lists(NUMBER, min_size=2, max_size=2),
        "zoom_factor": st.floats(0.5, 8),
        "normalized": st.booleans() | st.just("yes"),
        "nonsense": st.just(1),
    },
)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(["ZOOM_IN", "GET_PROPERTIES"]), arguments=ARGUMENTS)
def test_the_plain_spelling_has_the_same_result(
    name: str, arguments: dict[str, Any], ocr: EngineOcr, features: EngineFeatures
) -> None:
    operation = asked(name, **arguments)
    as_asked, plain = (operate([IMAGE], one, ocr, features) for one in (operation, canonical(operation, SIZE)))
    assert (as_asked.result, as_asked.error) == (plain.result, plain.error)


def test_the_plain_spelling_of_a_reading_and_a_click_has_the_same_result(
    ocr: EngineOcr, features: EngineFeatures
) -> None:
    for operation in (
        asked("READ_TEXT", region=[0.1, 0.1, 0.9, 0.9], normalized=True),
        asked("SEGMENT_OBJECT_AT", point=[0.5, 0.5], normalized=True),
    ):
        as_asked, plain = (operate([IMAGE], one, ocr, features) for one in (operation, canonical(operation, SIZE)))
        assert (as_asked.result, as_asked.error) == (plain.result, plain.error)


def test_what_is_malformed_stays_as_it_is() -> None:
    for operation in (asked("READ_TEXT", region=[5, 5, 1, 1]), asked("ZOOM_IN", zoom=2), asked("TRACK_OBJECT", fps=0)):
        assert canonical(operation, SIZE) == operation
