"""ZOOM_IN, the arguments of all operations, and `operate`."""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelis.errors import InvalidOperation, InvalidRequest, Unavailable
from pixelis.rle import pack, unpack
from pixelis.schema import Operation, OperationName, OperationResult, parse_as
from python_backends.visual_ops import OPERATIONS, operate, rle
from python_backends.visual_ops.arguments import Rle
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
        ({"region": [0, 0, 10**400, 50]}, "four finite numbers"),
        ({"region": [0, 0, 1e-320, 0]}, "is empty"),
        ({"region": [[[[]]]]}, "four finite numbers"),
        ({"region": "x" * 10**6}, "four finite numbers"),
        ({"region": {str(i): i for i in range(10**4)}}, "four finite numbers"),
        ({"center": [1e308, -1e308], "zoom_factor": 2}, "outside image bounds"),
        ({"bbox": [0, 0, 50, 50]}, "no argument `bbox`. It takes"),
        ({"x" * 10**6: 1}, "no argument `xxx"),
    ],
)
def test_bad_arguments_are_errors_that_say_what_is_allowed(arguments: dict[str, Any], text: str) -> None:
    answer = run("ZOOM_IN", **arguments)
    assert answer.error is not None
    assert text in answer.error
    assert len(answer.error) < 400
    assert answer.result == {}


@pytest.mark.parametrize(
    ("size", "counts", "text"),
    [
        ([100, 100], [0, 9_999], "do not add up to 10000"),
        ([100, 100], [0, 10**30], "do not add up to 10000"),
        ([100, 100], [2**63, 2**63, 10_000], "do not add up"),
        ([100, 100], [], "do not add up"),
        ([100, 100], "", "do not add up"),
        ([100, 100], [10_000], "The mask is empty"),
        ([100, 100], [0] * 10**5, "do not add up"),
        ([100, 100], "0" * 10**6, "do not add up"),
        ([100, 100], "O" * 10**6, "do not add up"),
        ([100, 100], "OOO" * 10**5, "do not add up"),
        ([100, 100], "o" * 10**6, "cut short"),
        ([100, 100], "oooooooo0", "not COCO's run-length text"),
        ([100, 100], "no code!", "not COCO's run-length text"),
        ([100, 100], "\u20ac", "not COCO's run-length text"),
        ([100, 100], "\udc80", "not COCO's run-length text"),
        ([100, 50], [0, 5_000], "The mask is of a 50x100 image; this one is 100x100"),
        ([10**9, 10**9], [0, 10**18], "this one is 100x100"),
        ([10**4000, 1], [0, 1], "must be a COCO"),
        ([True, 100], [0, 100], "must be a COCO"),
        ([100], [0, 100], "must be a COCO"),
        ([100, 100], [5_000.0, 5_000.5], "must be a COCO"),
        ([100, 100], [-1, 10_001], "must be a COCO"),
        ([100, 100], [True, 9_999], "must be a COCO"),
        ([100, 100], None, "must be a COCO"),
    ],
)
def test_a_mask_that_is_none_is_an_error_at_once(size: Any, counts: Any, text: str) -> None:
    started = time.process_time()
    answer = run("GET_PROPERTIES", mask={"size": size, "counts": counts})
    assert text in (answer.error or "")
    assert len(answer.error or "") < 300
    assert time.process_time() - started < 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-(2**34), 2**34 - 1), max_size=50))
def test_runs_are_what_their_text_says(counts: list[int]) -> None:
    """Differences of neighbours' neighbours may have a bit more than the runs, which still are 7 characters."""
    halves = [count // 2 for count in counts]
    assert unpack(pack(halves)) == halves


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_a_mask_comes_back_from_its_runs(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    mask[0, 0] = True
    made = rle.encode(mask)
    np.testing.assert_array_equal(rle.decode(Rle.model_validate(made), (width, height)), mask)
    numbers = Rle(size=(height, width), counts=unpack(str(made["counts"])))
    np.testing.assert_array_equal(rle.decode(numbers, (width, height)), mask)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=60))
def test_any_text_is_runs_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidOperation):
        assert all(isinstance(count, int) for count in unpack(text))


@pytest.mark.parametrize("box", [[5.1, 5.1, 5.2, 5.2], [99.99, 0, 100, 1e-9], [-1e308, -1e308, 1e308, 1e308]])
def test_a_region_under_a_pixel_and_one_beyond_all_bounds_are_looked_at(box: list[float]) -> None:
    assert run("GET_PROPERTIES", bbox=box).error is None
    assert run("ZOOM_IN", region=box).error is None


def test_every_operation_is_there() -> None:
    assert set(OPERATIONS) == set(OperationName)


def test_an_index_of_thousands_of_digits_is_not_said_again() -> None:
    text = '{"operation": "ZOOM_IN", "arguments": {"region": [0, 0, 5, 5]}, "image_index": 1%s}' % ("0" * 4000)
    with pytest.raises(InvalidRequest) as caught:
        parse_as(Operation, text, "OPERATION")
    assert len(str(caught.value)) < 200
    error = run("TEMPORAL_LOCALIZE", query={"bbox": [0, 0, 5, 5], "frame": 10**4000}).error or ""
    assert "or an example" in error
    assert len(error) < 300


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
