"""What a turn means: calls, broken calls, answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelis.errors import InvalidOperation
from pixelis.schema import OperationName
from python_backends.pipeline.dialect import Answer, Call, Malformed, operations, parse_turn
from python_backends.pipeline.spaces import Frame
from tests.pipeline.scripted import call

FRAMES = [Frame(0, (0, 0, 336, 168), (168, 168)), Frame(1, (0, 0, 1000, 500), (168, 168))]
CROP = Frame(0, (100, 50, 184, 134), (168, 168), whole=False)


def act(text: str) -> Call | Malformed | Answer:
    return parse_turn(text).act


def test_a_call_is_its_name_arguments_and_text() -> None:
    written = call("ZOOM_IN", region=[7, 14, 21, 28])
    turn = parse_turn(f"<think>look there</think>\n{written} and more")
    assert turn.act == Call("ZOOM_IN", {"region": [7, 14, 21, 28]}, written)
    assert turn.thought == "look there"


def test_arguments_may_be_a_json_string() -> None:
    text = '<tool_call>{"name": "READ_TEXT", "arguments": "{\\"region\\": [0, 0, 7, 7]}"}</tool_call>'
    found = act(text)
    assert isinstance(found, Call)
    assert found.arguments == {"region": [0, 0, 7, 7]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('<tool_call>{"name": "ZOOM_IN"', "no `</tool_call>`"),
        ("<tool_call>zoom</tool_call>", "not JSON"),
        ("<tool_call>[1]</tool_call>", '{"name"'),
        ('<tool_call>{"name": 3}</tool_call>', '{"name"'),
        ('<tool_call>{"name": "FLY"}</tool_call>', "no tool `FLY`"),
        ('<tool_call>{"name": "ZOOM_IN", "arguments": [1]}</tool_call>', "not a JSON object"),
        ('<tool_call>{"name": "ZOOM_IN", "arguments": "x"}</tool_call>', "not a JSON object"),
        ("<tool_call>" + "[" * 100_000 + "</tool_call>", "not JSON"),
        ('<tool_call>{"name": "ZOOM_IN", "arguments": {"region": [NaN]}}</tool_call>', "not JSON"),
        ('<tool_call>{"name": "ZOOM_IN", "arguments": {"region": [1e999]}}</tool_call>', "not JSON"),
        ('<tool_call>{"name": "READ_TEXT", "arguments": {"a": "\\ud800"}}</tool_call>', "not JSON"),
        ('<tool_call>{"name": "READ_TEXT", "arguments": "{\\"a\\": \\"\\\\ud800\\"}"}</tool_call>', "not a JSON obj"),
        (call("ZOOM_IN", region=json.loads("[" * 100 + "]" * 100)), "16 levels"),
    ],
)
def test_a_broken_call_says_why(text: str, says: str) -> None:
    found = act(text)
    assert isinstance(found, Malformed)
    assert says in found.reason


@pytest.mark.parametrize(
    ("text", "answer", "thought"),
    [
        ("red", "red", ""),
        ("  red\n", "red", ""),
        ("<think>hm</think>red", "red", "hm"),
        ("So <answer> 42 </answer> it is", "42", "So"),
        ("It is \\boxed{x^{2}}.", "x^{2}", "It is"),
        ("\\boxed{a} no, \\boxed{b}", "b", "\\boxed{a} no,"),
        ("\\boxed{open", "open", ""),
        ("", "", ""),
        ("<think>never ends", "", "never ends"),
    ],
)
def test_answers(text: str, answer: str, thought: str) -> None:
    turn = parse_turn(text)
    assert isinstance(turn.act, Answer)
    assert turn.act.text == answer
    assert text[turn.act.start : turn.act.end] == answer
    assert turn.thought == thought


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_turn(text: str) -> None:
    found = parse_turn(text).act
    if isinstance(found, Answer):
        assert text[found.start : found.end] == found.text


@settings(deadline=None)
@given(
    st.sampled_from(sorted(name.value for name in OperationName)),
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=8), st.lists),
        max_size=4,
    ),
)
def test_any_arguments_become_operations_or_a_typed_error(name: str, arguments: dict[str, object]) -> None:
    found = act(f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>")
    if isinstance(found, Call):
        try:
            planned = operations(found, FRAMES, "view_pixels")
        except InvalidOperation:
            return
        assert [operation.operation.value for operation, _ in planned] == [name]


def planned(name: str, frames: list[Frame] = FRAMES, **arguments: object) -> tuple[str, dict[str, object], int]:
    found = act(call(name, **arguments))
    assert isinstance(found, Call)
    ((operation, _),) = operations(found, frames, "view_pixels")
    return operation.operation.value, operation.arguments, operation.image_index


def test_coordinates_become_pixels_of_the_original() -> None:
    assert planned("ZOOM_IN", region=[0, 42, 84, 168]) == ("ZOOM_IN", {"region": [0, 42, 168, 168]}, 0)
    assert planned("GET_PROPERTIES", bbox=[84, 84, 168, 168], target_image=2)[1:] == (
        {"bbox": [500, 250, 1000, 500]},
        1,
    )


def test_coordinates_in_a_crop_become_pixels_of_the_original() -> None:
    assert planned("READ_TEXT", [*FRAMES, CROP], region=[0, 0, 84, 168], target_image=3) == (
        "READ_TEXT",
        {"region": [100, 50, 142, 134]},
        0,
    )


def test_reading_a_crop_without_a_region_reads_the_crop() -> None:
    assert planned("READ_TEXT", [*FRAMES, CROP], target_image=3)[1] == {"region": [100, 50, 184, 134]}
    whole = planned("READ_TEXT", [*FRAMES, CROP], target_image=3, normalized=True)
    assert whole[1] == {"region": [100, 50, 184, 134]}
    assert planned("READ_TEXT")[1] == {}


def test_dialects_of_other_checkpoints() -> None:
    assert planned("crop_image", bbox_2d=[0, 0, 84, 84], target_image=2) == ("ZOOM_IN", {"region": [0, 0, 500, 250]}, 1)
    assert planned("crop_image_normalized", bbox_2d=[0, 0, 0.5, 1]) == ("ZOOM_IN", {"region": [0, 0, 168, 168]}, 0)
    assert planned("ZOOM_IN", region=[0, 0, 0.5, 0.5], normalized=True)[1] == {"region": [0, 0, 168, 84]}


def test_select_frames_shows_whole_frames() -> None:
    found = act(call("select_frames", target_frames=[2, 1]))
    assert isinstance(found, Call)
    assert [operation.image_index for operation, _ in operations(found, FRAMES, "relative_1000")] == [1, 0]


@pytest.mark.parametrize(
    "arguments",
    [{"target_image": 3}, {"target_image": 0}, {"target_image": "1"}, {"target_image": True}, {"target_image": 1.0}],
)
def test_an_image_that_is_not_there(arguments: dict[str, object]) -> None:
    found = Call("ZOOM_IN", {"region": [0, 0, 1, 1], **arguments}, "")
    with pytest.raises(InvalidOperation, match="Images are 1 to 2"):
        operations(found, FRAMES, "view_pixels")


@pytest.mark.parametrize("frames", [None, [], [3], list(range(1, 10)), "1"])
def test_frames_that_are_not_there(frames: object) -> None:
    with pytest.raises(InvalidOperation):
        operations(Call("select_frames", {"target_frames": frames}, ""), FRAMES, "view_pixels")
