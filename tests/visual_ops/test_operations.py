"""ZOOM_IN, the arguments of all operations, and `operate`."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelis.errors import InvalidOperation, Unavailable
from pixelis.schema import Operation, OperationName, OperationResult
from python_backends.visual_ops import OPERATIONS, operate
from python_backends.visual_ops.features import EngineFeatures
from python_backends.visual_ops.ocr import EngineOcr
from python_backends.visual_ops.zoom_in import zoom_in

IMAGE = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)


class NoOcr:
    """Text models that are not up."""

    characters = ("", "a")

    def detect(self, image: np.ndarray) -> np.ndarray:
        raise Unavailable("ocr_detect is not up.")

    def recognize(self, lines: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise Unavailable("ocr_recognize is not up.")


def no_features(views: np.ndarray) -> np.ndarray:
    raise Unavailable("embed_image is not up.")


def run(name: str, image_index: int = 0, **arguments: Any) -> OperationResult:
    operation = Operation(operation=OperationName(name), arguments=arguments, image_index=image_index)
    return operate([IMAGE], operation, NoOcr(), no_features)


@pytest.mark.parametrize(
    ("arguments", "region"),
    [
        ({"center": [5, 5], "zoom_factor": 2}, [0, 0, 50, 50]),
        ({"center": [95, 50], "zoom_factor": 2}, [50, 25, 100, 75]),
        ({"center": [50, 50], "zoom_factor": 0.5}, [0, 0, 100, 100]),
        ({"center": [0.5, 0.5], "zoom_factor": 4, "normalized": True}, [38, 38, 63, 63]),
        ({"center": [50, 50], "zoom_factor": 1e9}, [50, 50, 51, 51]),
        ({"center": [50, 50], "zoom_factor": 1e-9}, [0, 0, 100, 100]),
        ({"region": [10, 20, 30, 60]}, [10, 20, 30, 60]),
        ({"region": [-10, 80, 30, 120]}, [0, 60, 40, 100]),
        ({"region": [-10, -10, 500, 500]}, [0, 0, 100, 100]),
        ({"region": [10.2, 10.2, 10.4, 10.4]}, [10, 10, 11, 11]),
        ({"region": [0.1, 0.2, 0.3, 0.6], "normalized": True}, [10, 20, 30, 60]),
    ],
)
def test_zoom_in_regions(arguments: dict[str, Any], region: list[int]) -> None:
    found = zoom_in(IMAGE, arguments)
    assert found["region"] == region
    assert found["size"] == [region[2] - region[0], region[3] - region[1]]


def test_a_handle_says_all_that_is_needed() -> None:
    found = zoom_in(IMAGE, {"region": [10, 20, 30, 60], "target_size": [336, 224]})
    kind, digest, region = found["handle"].split(":")
    assert (kind, len(digest), region) == ("crop", 16, "10,20,30,60@336x224")
    assert found["size"] == [336, 224]
    other = IMAGE.copy()
    other[0, 0, 0] ^= 1
    assert zoom_in(other, {"region": [10, 20, 30, 60]})["handle"].split(":")[1] != digest


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"center": [150, 60], "zoom_factor": 2}, "Point (150, 60) is outside image bounds (100x100)"),
        ({"center": [100, 0], "zoom_factor": 2}, "Point (100, 0) is outside image bounds (100x100)"),
        ({"center": [5, 5]}, "belong together"),
        ({"zoom_factor": 2}, "belong together"),
        ({"center": [5, 5], "zoom_factor": 0}, "greater than 0"),
        ({"center": [5, 5], "zoom_factor": -1}, "greater than 0"),
        ({"center": [5, 5], "zoom_factor": math.inf}, "finite"),
        ({}, "either `region`, or `center`"),
        ({"region": [0, 0, 5, 5], "center": [5, 5], "zoom_factor": 2}, "either `region`, or `center`"),
        ({"region": [40, 10, 20, 30]}, "is empty. It is [x1, y1, x2, y2] with x1 < x2 and y1 < y2."),
        ({"region": [200, 200, 300, 300]}, "does not overlap the image bounds (100x100)"),
        ({"region": [0, 0, 5]}, "four finite numbers"),
        ({"region": ["0", "0", "5", "5"]}, "four finite numbers"),
        ({"region": [math.nan, 0, 5, 5]}, "four finite numbers"),
        ({"region": [True, 0, 5, 5]}, "four finite numbers"),
        ({"region": "left half"}, "four finite numbers"),
        ({"region": [0, 0, 50, 50], "normalized": True}, "not within 0-1"),
        ({"region": [0, 0, 50, 50], "normalized": "yes"}, "true or false"),
        ({"region": [0, 0, 50, 50], "target_size": [0, 5]}, "two whole numbers"),
        ({"region": [0, 0, 50, 50], "target_size": [10**9, 10**9]}, "two whole numbers"),
        ({"bbox": [0, 0, 50, 50]}, "no argument `bbox`. It takes"),
    ],
)
def test_bad_arguments_are_errors_that_say_what_is_allowed(arguments: dict[str, Any], text: str) -> None:
    answer = run("ZOOM_IN", **arguments)
    assert answer.error is not None
    assert text in answer.error
    assert answer.result == {}


def test_every_operation_is_there() -> None:
    assert set(OPERATIONS) == set(OperationName)


def test_an_image_that_is_not_there() -> None:
    assert "there are 1 images" in (run("ZOOM_IN", image_index=3, region=[0, 0, 5, 5]).error or "")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("READ_TEXT", {}),
        ("SEGMENT_OBJECT_AT", {"point": [5, 5]}),
        ("TEMPORAL_LOCALIZE", {"query": "exit"}),
        ("TEMPORAL_LOCALIZE", {"query": {"bbox": [5, 5, 50, 50]}}),
    ],
)
def test_a_model_that_is_down_is_not_the_callers_fault(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(Unavailable):
        run(name, **arguments)


def test_every_result_is_json(ocr: EngineOcr, features: EngineFeatures) -> None:
    calls: dict[str, dict[str, Any]] = {
        "ZOOM_IN": {"region": [0, 0, 9, 9]},
        "READ_TEXT": {},
        "GET_PROPERTIES": {"bbox": [10, 10, 60, 60]},
        "SEGMENT_OBJECT_AT": {"point": [50, 50]},
        "TRACK_OBJECT": {"init_bbox": [10, 10, 60, 60]},
        "TEMPORAL_LOCALIZE": {"query": {"bbox": [10, 10, 60, 60]}},
    }
    picture = IMAGE.copy()
    picture[20:70, 20:70] = (200, 30, 30)
    for name, arguments in calls.items():
        operation = Operation(operation=OperationName(name), arguments=arguments)
        answer = operate([picture, picture], operation, ocr, features)
        assert answer.error is None
        assert answer.elapsed_ms > 0
        assert json.loads(answer.model_dump_json())["result"] == answer.result


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    "region bbox center zoom_factor target_size normalized mask init_bbox init_mask fps query threshold x".split()
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(names, anything, max_size=4), st.sampled_from(["ZOOM_IN", "GET_PROPERTIES", "TRACK_OBJECT"]))
def test_no_arguments_whatever_raise(arguments: dict[str, Any], name: str) -> None:
    answer = run(name, **arguments)
    assert (answer.error is None) == bool(answer.result)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-50, 150), min_size=4, max_size=4))
def test_a_region_used_is_inside_and_keeps_its_size(region: list[float]) -> None:
    try:
        x1, y1, x2, y2 = zoom_in(IMAGE, {"region": region})["region"]
    except InvalidOperation:
        return
    assert 0 <= x1 < x2 <= 100
    assert 0 <= y1 < y2 <= 100
    assert x2 - x1 == min(math.ceil(region[2]) - math.floor(region[0]), 100)
