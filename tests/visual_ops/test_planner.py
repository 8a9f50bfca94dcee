"""Groups of operations: what is equal or inside another is computed once, what is certain ends it."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pixelis.errors import InvalidImage, Unavailable
from pixelis.operations_config import Ladder, Operations
from pixelis.schema import Operation, OperationGroup, OperationName, OperationResult
from pixelis.settings import Limits
from python_backends.images import DecodedImages
from python_backends.visual_ops.features import EngineFeatures, Features
from python_backends.visual_ops.ocr import EngineOcr, Ocr
from python_backends.visual_ops.pictures import Pictures
from python_backends.visual_ops.planner import Planner
from python_backends.visual_ops.seen import Seen
from python_backends.visual_ops.watch import Unwatched

LINES = (("Kitchen window 42", 20), ("Harbour ticket", 110), ("Copper planet", 200))


def page() -> bytes:
    image = Image.new("RGB", (420, 280), "white")
    for text, top in LINES:
        ImageDraw.Draw(image).text((30, top), text, fill="black", font=ImageFont.load_default(32))
    ImageDraw.Draw(image).rectangle((340, 200, 400, 260), fill=(200, 30, 30))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


PAGE = page()


class Told(Unwatched):
    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def operated(self, result: OperationResult, outcome: str, seconds: float) -> None:
        self.outcomes.append("refused" if result.error is not None else outcome)


def asked(name: str, **arguments: Any) -> Operation:
    return Operation(operation=OperationName(name), arguments=arguments)


def pictures(*encoded: bytes) -> Pictures:
    return Pictures(encoded or (PAGE,), DecodedImages(), Limits())


class Bench:
    def __init__(self, ocr: Ocr, features: Features, **more: Any) -> None:
        self.watch = Told()
        single = Operations(read_text=Ladder())
        self.planner = Planner(ocr, features, single, watch=self.watch, **more)

    def __call__(
        self, operations: Sequence[Operation], enough: float | None = None
    ) -> tuple[list[OperationResult], list[int]]:
        group = OperationGroup(operations=list(operations), enough=enough)
        found = self.planner.group(pictures(), group, time.time() + 60)
        return found.results, found.skipped


@pytest.fixture
def bench(ocr: EngineOcr, features: EngineFeatures) -> Bench:
    return Bench(ocr, features)


def test_results_come_in_the_order_asked_and_a_refused_one_keeps_its_place(bench: Bench) -> None:
    results, skipped = bench(
        [
            asked("GET_PROPERTIES", bbox=[335, 195, 405, 265]),
            asked("SEGMENT_OBJECT_AT", point=[999, 999]),
            asked("READ_TEXT"),
            asked("ZOOM_IN", center=[30, 30], zoom_factor=2),
        ]
    )
    assert [one.operation.value for one in results] == ["GET_PROPERTIES", "SEGMENT_OBJECT_AT", "READ_TEXT", "ZOOM_IN"]
    assert results[0].result["color"]["name"] == "red"
    assert results[1].error is not None
    assert "outside image bounds (420x280)" in results[1].error
    assert all(text in results[2].result["text"] for text, _ in LINES)
    assert skipped == []


def test_equal_operations_are_computed_once(bench: Bench) -> None:
    results, _ = bench(
        [asked("READ_TEXT"), asked("READ_TEXT", region=[0, 0, 1, 1], normalized=True), asked("READ_TEXT")]
    )
    assert bench.watch.outcomes == ["miss"]
    assert results[0].result == results[1].result == results[2].result


def test_a_region_inside_one_that_is_read_is_answered_from_it(bench: Bench) -> None:
    inner = asked("READ_TEXT", region=[10, 95, 400, 160])
    (part, whole), _ = bench([inner, asked("READ_TEXT")])
    assert bench.watch.outcomes == ["miss", "contained"]
    assert part.result["text"] == "Harbour ticket"
    assert part.skipped
    assert part.result["region"] == [10, 95, 400, 160]
    assert part.result["lines"][0]["box"] == whole.result["lines"][1]["box"]
    alone = bench.planner.one(pictures(), inner.model_copy(update={"resolution": "full"}))
    assert alone.result["text"] == part.result["text"]
    assert not alone.skipped


def test_what_is_not_to_be_remembered_or_was_forgotten_is_read_again(ocr: EngineOcr, features: EngineFeatures) -> None:
    inner = asked("READ_TEXT", region=[10, 95, 400, 160])
    never = Bench(ocr, features, remember=False)
    never([inner, asked("READ_TEXT")])
    assert never.watch.outcomes == ["miss", "miss"]
    bench = Bench(ocr, features)
    bench([asked("READ_TEXT")])
    bench.planner.forget()
    bench([inner])
    assert bench.watch.outcomes == ["miss", "miss"]


def test_a_region_that_cuts_a_line_is_read_for_itself(bench: Bench) -> None:
    bench([asked("READ_TEXT")])
    (cut,), _ = bench([asked("READ_TEXT", region=[10, 95, 150, 160])])
    assert not cut.skipped
    (empty,), _ = bench([asked("READ_TEXT", region=[0, 60, 400, 90])])
    assert empty.result["text"] == ""
    assert bench.watch.outcomes == ["miss"] * 3


def test_boxes_come_only_where_they_are_asked_for(bench: Bench) -> None:
    (without, with_them), _ = bench([asked("READ_TEXT", return_boxes=False), asked("READ_TEXT")])
    assert all("box" not in line for line in without.result["lines"])
    assert all("box" in line for line in with_them.result["lines"])
    part = bench.planner.one(pictures(), asked("READ_TEXT", region=[10, 95, 400, 160], return_boxes=False))
    assert "box" not in part.result["lines"][0]
    assert bench.watch.outcomes[-1] == "contained"


def test_lines_that_slant_are_where_their_words_are(ocr: EngineOcr, features: EngineFeatures) -> None:
    image = Image.open(io.BytesIO(PAGE)).crop((0, 0, 330, 280)).rotate(8, expand=True, fillcolor="white")
    out = io.BytesIO()
    image.save(out, "PNG")
    shown, bench = pictures(out.getvalue()), Bench(ocr, features)
    lines = bench.planner.one(shown, asked("READ_TEXT")).result["lines"]
    assert [line["text"] for line in lines] == [text for text, _ in LINES]
    assert "words" not in lines[0]
    part = bench.planner.one(shown, asked("READ_TEXT", region=[float(v) for v in lines[1]["box"]], return_words=True))
    assert part.result["text"] == LINES[1][0]
    assert [word["text"] for word in part.result["lines"][0]["words"]] == LINES[1][0].split()
    assert bench.watch.outcomes == ["miss", "contained"]


def test_what_is_malformed_is_refused_as_it_was_asked(bench: Bench) -> None:
    refused = bench.planner.one(pictures(), asked("READ_TEXT", region=[0, 0, 50, 50], return_words="yes"))
    assert refused.error is not None
    assert "return_words" in refused.error


def test_a_group_ends_when_one_is_certain_and_says_what_it_left_out(ocr: EngineOcr, features: EngineFeatures) -> None:
    one_by_one = Bench(ocr, features, side_by_side=1)
    results, skipped = one_by_one([asked("READ_TEXT"), asked("SEGMENT_OBJECT_AT", point=[370, 230])], enough=0.5)
    assert skipped == [1]
    assert results[1].skipped
    assert results[1].result == {}
    assert results[1].error is None
    assert results[0].result["text"]
    _, skipped = one_by_one([asked("READ_TEXT"), asked("SEGMENT_OBJECT_AT", point=[370, 230])], enough=1.0)
    assert skipped == []


def test_a_model_that_is_down_costs_a_group_only_what_needs_it(features: EngineFeatures) -> None:
    class Down:
        @property
        def characters(self) -> list[str]:
            return ["", "a"]

        def detect(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            raise Unavailable("ocr_detect is not up.")

        def recognize(
            self, lines: NDArray[np.uint8], widths: NDArray[np.int32]
        ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
            raise Unavailable("ocr_recognize is not up.")

    bench = Bench(Down(), features)
    (text, colour), _ = bench([asked("READ_TEXT"), asked("GET_PROPERTIES", bbox=[335, 195, 405, 265])])
    assert text.error is not None
    assert "ocr_detect is not up" in text.error
    assert colour.result["color"]["name"] == "red"
    with pytest.raises(Unavailable):
        bench.planner.one(pictures(), asked("READ_TEXT"))


def test_what_is_no_picture_fails_whoever_asks(bench: Bench) -> None:
    with pytest.raises(InvalidImage):
        bench.planner.one(pictures(b"no picture"), asked("READ_TEXT"))
    with pytest.raises(InvalidImage):
        bench.planner.one(pictures(PAGE, b"no picture"), asked("READ_TEXT"))
    missing = bench.planner.one(pictures(), Operation(operation=OperationName.READ_TEXT, image_index=3))
    assert missing.error == "image_index 3 is out of range: there are 1 images."


def test_what_was_done_is_told(bench: Bench) -> None:
    bench([asked("READ_TEXT"), asked("READ_TEXT", region=[10, 95, 400, 160]), asked("READ_TEXT", region=[9, 9, 1, 1])])
    assert sorted(bench.watch.outcomes) == ["contained", "miss", "refused"]


def test_a_second_click_on_a_picture_looks_only_at_its_new_windows(ocr: EngineOcr, features: EngineFeatures) -> None:
    looked: list[int] = []

    def counting(views: NDArray[np.uint8]) -> NDArray[np.float32]:
        looked.append(len(views))
        return features(views)

    planner = Planner(ocr, counting, Operations(segment_object_at=Ladder(stop_early=False)))
    rng = np.random.default_rng(0)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (200, 300, 3), np.uint8)).save(out, "PNG")
    shown = pictures(out.getvalue())
    for point in ([100, 100], [220, 60]):
        planner.one(shown, asked("SEGMENT_OBJECT_AT", point=point, threshold=0.5))
    assert looked[0] > looked[1] > 0


def test_what_was_seen_is_bounded_and_kept_by_maker() -> None:
    seen = Seen(budget_bytes=100)
    one, other = seen.by("a"), seen.by("b")
    one["x"] = np.zeros(10, np.float32)
    assert "x" in one
    assert "x" not in other
    other["y"] = np.zeros(10, np.float32)
    one["x"]
    other["z"] = np.zeros(10, np.float32)
    assert (sorted(one), sorted(other)) == (["x"], ["z"])
    one["large"] = np.zeros(100, np.float32)
    del other["z"]
    assert (list(one), len(other)) == (["x"], 0)
