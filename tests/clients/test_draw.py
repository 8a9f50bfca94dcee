"""What is drawn, and where."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from clients import draw
from pixelis.errors import InvalidImage, InvalidRequest
from pixelis.schema import Action, OperationName, OperationResult, PipelineResult, Provenance

WHITE = Image.new("RGB", (200, 100), "white")


def op(name: str, result: dict[str, Any] | None = None, error: str | None = None, **arguments: Any) -> Action:
    return Action(
        type="VISUAL_OPERATION",
        operation=OperationName(name),
        arguments=arguments,
        result=result or {},
        error=error,
    )


def result(*actions: Action) -> PipelineResult:
    return PipelineResult(
        request_id="r",
        answer="red",
        confidence=0.9,
        trajectory=list(actions),
        reward=None,
        provenance=Provenance(agent_answer="red", agent_confidence=0.9),
        timings_ms={},
        versions={},
    )


def test_marks_say_what_was_looked_at() -> None:
    found = draw.marks(
        [
            op("ZOOM_IN", region=[5, 5, 50, 50], result={"region": [0, 0, 50, 50]}),
            Action(type="REASONING", text="hm"),
            op("SEGMENT_OBJECT_AT", point=[9, 8], result={"bbox": [1, 2, 30, 40]}),
            op("READ_TEXT", error="empty", region=[0, 0, 1, 1]),
            op("GET_PROPERTIES", bbox=[0.1, 0.2, 0.5, 0.6], normalized=True),
            op("READ_TEXT", result={"lines": [{"text": "a", "bbox": [1, 1, 9, 9]}, "odd"]}),
            op("ZOOM_IN", image_index=1, region=[0, 0, 9, 9]),
        ],
        (200, 100),
    )
    assert [(m.label, m.box, m.point) for m in found] == [
        ("1 ZOOM_IN", (0, 0, 50, 50), None),
        ("2 SEGMENT_OBJECT_AT", (1, 2, 30, 40), None),
        ("", None, (9, 8)),
        ("4 GET_PROPERTIES", (20, 20, 100, 60), None),
        ("", (1, 1, 9, 9), None),
    ]


def test_a_mask_is_tinted() -> None:
    rle = {"size": [100, 200], "counts": [100 * 50, 100 * 30, 100 * 120]}
    action = op("SEGMENT_OBJECT_AT", point=[60, 50], result={"mask": rle, "bbox": [50, 0, 80, 100]})
    found = draw.marks([action], (200, 100))
    (mask,) = [mark.mask for mark in found if mark.mask is not None]
    assert mask.sum() == 3000
    assert np.argwhere(mask)[:, 1].min() == 50
    image = np.array(draw.annotate(WHITE, found))
    assert image[70, 70].tolist() != [255, 255, 255]
    assert image[70, 100].tolist() == [255, 255, 255]
    for broken in ("x", {"size": [1, 2]}, {"size": [100, 200], "counts": "~"}, {"size": [5, 5], "counts": [3]}, 7):
        assert draw.masks.decode(broken, (200, 100)) is None


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [math.inf, 1], "counts": [1]},
        {"size": [-3, -4], "counts": [12]},
        {"size": [10**6, 10**6], "counts": [10**12]},
        {"size": "34", "counts": [12]},
        {"size": [4, 3], "counts": [12.7]},
        {"size": [4, 3], "counts": [True, 11]},
        {"size": [4, 3], "counts": [10**400]},
        {"size": [4, 3], "counts": {"0": 12}},
    ],
)
def test_a_mask_that_is_none_costs_nothing(mask: dict[str, Any]) -> None:
    assert draw.masks.decode(mask, (3, 4)) is None
    assert draw.operated(WHITE, {}, OperationResult(operation=OperationName.ZOOM_IN, result={"mask": mask})) is not None


def test_a_mask_of_another_picture_is_left_out() -> None:
    marks = [draw.Mark("", "#0072b2", mask=np.ones((10, 10), np.bool_))]
    assert np.array(draw.annotate(WHITE, marks)).min() == 255


def test_a_track_is_drawn_with_its_way_and_its_end() -> None:
    boxes = [[10, 10, 30, 30], None, [50, 40, 70, 60], [90, 70, 110, 90]]
    found = draw.marks(
        [op("TRACK_OBJECT", init_bbox=[9, 9, 31, 31], result={"boxes": boxes, "left_by": "right"})], (200, 100)
    )
    assert [(mark.label, mark.box) for mark in found[:2]] == [
        ("1 TRACK_OBJECT leaves right", (10, 10, 30, 30)),
        ("", (90, 70, 110, 90)),
    ]
    assert found[2].path == ((20, 20), (60, 50), (100, 80))
    image = np.array(draw.annotate(WHITE, found[2:]))
    assert image[50, 60].tolist() == list(ImageColor.getrgb("#d55e00"))


def test_a_box_is_drawn_on_its_last_pixels() -> None:
    image = np.array(draw.annotate(WHITE, [draw.Mark("", "#0072b2", box=(20, 30, 60, 70))]))
    colour = ImageColor.getrgb("#0072b2")
    drawn = np.argwhere((image == colour).all(axis=2))
    assert drawn.min(axis=0).tolist() == [30, 20]
    assert drawn.max(axis=0).tolist() == [69, 59]
    assert np.array(WHITE).min() == 255


def test_marks_anywhere_can_be_drawn() -> None:
    odd = [
        draw.Mark("9 ZOOM_IN", "#e69f00", box=(-50, -50, 900, 900)),
        draw.Mark("9 ZOOM_IN", "#e69f00", box=(50, 50, 50, 50)),
        draw.Mark("9 ZOOM_IN", "#e69f00", box=(90, 90, 10, 10)),
        draw.Mark("9 ZOOM_IN", "#e69f00", point=(199, 0)),
    ]
    assert draw.annotate(WHITE, odd).size == WHITE.size


@pytest.mark.parametrize("far", [1e9, 1e300, -1e300, 10**400, math.inf, math.nan])
def test_marks_far_away_take_no_time(far: float) -> None:
    found = draw.marks(
        [
            op("ZOOM_IN", region=[0, 0, 1, 1], result={"region": [0, 0, far, far]}),
            op("GET_PROPERTIES", bbox=[-far, 0, 1, 2], normalized=True),
            op("SEGMENT_OBJECT_AT", point=[far, 1]),
            op("TRACK_OBJECT", result={"boxes": [[0, 0, 9, 9], [far, far, far, far]]}),
        ],
        (200, 100),
    )
    started = time.thread_time()
    assert draw.annotate(WHITE, found).size == WHITE.size
    assert time.thread_time() - started < 1


def test_an_answer_is_the_caption() -> None:
    action = op("READ_TEXT", region=[10, 10, 90, 90])
    image = draw.answered(WHITE, result(action))
    assert image.width == 200
    assert image.height > 100
    long = result(action).model_copy(update={"answer": "wörter 漢字\n" * 50})
    assert draw.answered(WHITE, long).size == image.size


def test_pictures_are_drawn_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    WHITE.save(buffer, "JPEG", exif=exif)
    assert draw.annotate(buffer.getvalue(), []).size == (100, 200)


def test_operated() -> None:
    good = OperationResult(operation=OperationName.ZOOM_IN, result={"region": [0, 0, 50, 50]})
    assert draw.operated(WHITE, {}, good).size == (200, 100)
    bad = OperationResult(operation=OperationName.ZOOM_IN, error="outside")
    assert draw.operated(WHITE, {}, bad).height > 100


def test_save(tmp_path: Path) -> None:
    for name, kind in (("a.png", "PNG"), ("deep/b.JPG", "JPEG")):
        draw.save(WHITE, tmp_path / name)
        assert Image.open(tmp_path / name).format == kind
    with pytest.raises(InvalidRequest, match=r"\.png"):
        draw.save(WHITE, tmp_path / "a.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidRequest, match="cannot be written"):
        draw.save(WHITE, tmp_path / "file" / "a.png")


def test_bytes_that_are_no_picture() -> None:
    with pytest.raises(InvalidImage):
        draw.annotate(b"no picture", [])
