"""Dialects are data: what each of them calls, counts and marks; a checkpoint's own one; files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pixelis.errors import InvalidOperation, SetupError
from python_backends.pipeline.dialect import Answer, Call, Malformed, operations, parse_turn
from python_backends.pipeline.dialects import Dialect, default_dialect, load_dialect, shipped
from python_backends.pipeline.spaces import Frame
from python_backends.policy import conversation
from python_backends.policy.calls.forms import Bounds, forms
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.grammar import CallGrammar
from python_backends.policy.profile import Profile
from python_backends.policy.tokenizer import PolicyTokenizer
from python_backends.visual_ops import arguments
from tests.operation_arguments import MODELS
from tests.policy import vocabularies

FRAMES = [Frame(0, (0, 0, 200, 100), (100, 100)), Frame(1, (0, 0, 1000, 500), (100, 100))]


def planned(dialect: Dialect, name: str, **arguments: object) -> tuple[dict[str, object], int]:
    act = parse_turn(conversation.tool_call(name, arguments), dialect).act
    assert isinstance(act, Call), act
    ((operation, _),) = operations(act, FRAMES, dialect.coordinates, dialect)
    return operation.arguments, operation.image_index


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_dialect_names_what_the_operations_take(name: str) -> None:
    dialect = load_dialect(name)
    assert dialect.name == name
    for tool in dialect.tools.values():
        assert set((tool.arguments or {}).values()) <= set(MODELS[tool.operation].model_fields)
    assert {form.name for form in forms(Bounds(100, 100, 2), dialect)} == set(dialect.tools)


def test_the_dialects_differ_in_space_names_and_counting() -> None:
    box = [250, 500, 500, 1000]
    assert planned(load_dialect("qwen3_vl"), "ZOOM_IN", region=box) == ({"region": [50, 50, 100, 100]}, 0)
    zoom = planned(load_dialect("qwen3_vl"), "image_zoom_in_tool", bbox_2d=box, label="a sign", img_idx=1)
    assert zoom == ({"region": [250, 250, 500, 500]}, 1)
    zoom = planned(load_dialect("deepeyes"), "image_zoom_in_tool", bbox_2d=[25, 50, 50, 100], label="a sign")
    assert zoom == ({"region": [50, 50, 100, 100]}, 0)
    share = planned(load_dialect("pixel_reasoner"), "crop_image_normalized", bbox_2d=[0.25, 0.5, 0.5, 1])
    assert share == ({"region": [50, 50, 100, 100]}, 0)


def test_a_tool_of_another_dialect_is_unknown_and_a_missing_argument_is_named_as_written() -> None:
    dialect = load_dialect("deepeyes")
    act = parse_turn(conversation.tool_call("ZOOM_IN", {"region": [0, 0, 1, 1]}), dialect).act
    assert isinstance(act, Malformed)
    assert act.reason == "There is no tool `ZOOM_IN`. Known: image_zoom_in_tool."
    with pytest.raises(InvalidOperation, match="`image_zoom_in_tool` needs `bbox_2d`"):
        operations(Call("image_zoom_in_tool", {}, ""), FRAMES, "view_pixels", dialect)


@pytest.mark.parametrize(("target", "says"), [(2, "Images are 0 to 1"), (-1, "Images are 0 to 1")])
def test_images_that_are_counted_from_nought(target: int, says: str) -> None:
    call = Call("image_zoom_in_tool", {"bbox_2d": [0, 0, 1, 1], "img_idx": target}, "")
    with pytest.raises(InvalidOperation, match=says):
        operations(call, FRAMES, "relative_1000", load_dialect("qwen3_vl"))


def test_answers_are_marked_as_the_dialect_says() -> None:
    text = "So <answer> 4 </answer> or \\boxed{5}"
    for name, answer, thought in (
        ("qwen2_5_vl", "4", "So"),
        ("pixel_reasoner", "5", "So <answer> 4 </answer> or"),
        ("deepeyes", "4", "So"),
    ):
        turn = parse_turn(text, load_dialect(name))
        assert isinstance(turn.act, Answer)
        assert (turn.act.text, turn.thought) == (answer, thought)
        assert text[turn.act.start : turn.act.end] == answer


def profile(directory: Path, said: dict[str, object], kind: str | None = None, own: str | None = None) -> Profile:
    (directory / "pixelis.json").write_text(json.dumps(said))
    if kind:
        (directory / "config.json").write_text(json.dumps({"model_type": kind}))
    if own is not None:
        (directory / "dialect.yaml").write_text(own)
    return Profile.load(directory)


def test_a_checkpoint_that_names_none_speaks_as_its_family(tmp_path: Path) -> None:
    assert profile(tmp_path, {}).dialect == default_dialect() == load_dialect("qwen2_5_vl")
    found = profile(tmp_path, {}, "qwen3_vl")
    assert (found.dialect.name, found.coordinates) == ("qwen3_vl", "relative_1000")
    found = profile(tmp_path, {"dialect": "pixel_reasoner"}, "qwen3_vl")
    assert (found.dialect.name, found.coordinates) == ("pixel_reasoner", "view_pixels")
    assert profile(tmp_path, {"coordinates": "relative_1"}, "qwen3_vl").coordinates == "relative_1"


OWN = """
extends: qwen3_vl
target: {argument: picture, base: 0}
tools:
  select_frames: null
  look: {operation: ZOOM_IN, arguments: {at: center, factor: zoom_factor}, needed: [at, factor]}
answers: [{open: "Answer:", close: "\\n"}]
"""


def test_a_checkpoint_may_bring_its_own(tmp_path: Path) -> None:
    dialect = profile(tmp_path, {"dialect": "dialect.yaml"}, own=OWN).dialect
    assert dialect.name == "dialect"
    assert "select_frames" not in dialect.tools
    assert planned(dialect, "look", at=[500, 500], factor=2, picture=1) == (
        {"center": [500, 250], "zoom_factor": 2},
        1,
    )
    act = parse_turn("I see.\nAnswer: a cat\n", dialect).act
    assert isinstance(act, Answer)
    assert act.text == "a cat"


def test_calls_are_guided_in_the_dialect(tmp_path: Path) -> None:
    vocabularies.nano(tmp_path)
    (tmp_path / "pixelis.json").write_text('{"dialect": "dialect.yaml"}')
    (tmp_path / "dialect.yaml").write_text(OWN)
    config, tokenizer = CheckpointConfig.load(tmp_path), PolicyTokenizer(tmp_path)
    grammar, dialect = CallGrammar(tmp_path, config), Profile.load(tmp_path).dialect

    def taken(text: str) -> str:
        """As much of it as may come."""
        guide, done = grammar.guide(config.end_ids, 500, 2), ""
        for character in text:
            ids = [int(i) for i in tokenizer.encode(character)]
            if not all(guide.take(token) for token in ids):
                return done
            done += character
        return done

    for right in (
        '{"name": "look", "arguments": {"at": [500, 999], "factor": 2, "picture": 1}}',
        '{"name": "image_zoom_in_tool", "arguments": {"label": "a sign", "bbox_2d": [0, 1, 2, 3], "img_idx": 0}}',
        '{"name": "ZOOM_IN", "arguments": {"picture": 0, "region": [0, 1, 2, 1000]}}',
    ):
        assert taken(f"<tool_call>\n{right}\n</tool_call>") == f"<tool_call>\n{right}\n</tool_call>"
        assert isinstance(parse_turn(f"<tool_call>\n{right}\n</tool_call>", dialect).act, Call)
    for wrong in (
        '{"name": "select_frames"',
        '{"name": "look", "arguments": {"at": [500, 999]}',
        '{"name": "ZOOM_IN", "arguments": {"picture": 2',
        '{"name": "ZOOM_IN", "arguments": {"target_image"',
        '{"name": "look", "arguments": {"center"',
    ):
        assert taken(f"<tool_call>{wrong}") != f"<tool_call>{wrong}"


def test_noise_writes_calls_of_the_dialect(tmp_path: Path) -> None:
    vocabularies.nano(tmp_path)
    (tmp_path / "pixelis.json").write_text('{"dialect": "dialect.yaml"}')
    (tmp_path / "dialect.yaml").write_text(OWN)
    config, tokenizer = CheckpointConfig.load(tmp_path), PolicyTokenizer(tmp_path)
    grammar, dialect = CallGrammar(tmp_path, config), Profile.load(tmp_path).dialect
    rng = np.random.default_rng(0)
    for name in 4 * list(dialect.tools):
        guide, tokens = grammar.guide(config.end_ids, 200, 2), []
        first = [int(i) for i in tokenizer.encode(f'<tool_call>{{"name": "{name}", ')]
        for step in range(200):
            row = (3 * rng.standard_normal(config.vocabulary)).astype(np.float32)
            if step < len(first):
                row[first[step]] = 1e4
            token, _ = guide.choose(row, int(row.argmax()), -1.0)
            tokens.append(token)
            if token in config.end_ids:
                break
        act = parse_turn(tokenizer.decode(tokens), dialect).act
        assert isinstance(act, Call), act
        assert act.name == name
        for operation, _ in operations(act, FRAMES, dialect.coordinates, dialect):
            arguments.parse(MODELS[operation.operation], operation.arguments, name)


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ("- a\n- list", "holds no keys"),
        ("tools: {a: [", "not YAML"),
        ("extends: klingon", "no dialect 'klingon'"),
        ("coordinates: view_pixels", "tools: Field required"),
        ("extends: qwen3_vl\ncoordinates: miles", "coordinates: Input should be 'view_pixels'"),
        ("extends: qwen3_vl\ntools: {fly: {operation: FLY}}", "tools.fly.operation"),
        ("extends: qwen3_vl\ntools: {look: {operation: ZOOM_IN, needed: [box]}}", "`needed` has 'box'"),
        ("extends: qwen3_vl\ntools: {look: {operation: READ_TEXT, frames: all}}", "`frames` shows images"),
        ("extends: qwen3_vl\ntools: {'a\"b': {operation: READ_TEXT}}", "no quotes"),
        ("extends: qwen3_vl\ntool: {}", "tool: Extra inputs"),
    ],
)
def test_a_file_that_is_no_dialect_is_refused_with_the_place(tmp_path: Path, own: str, says: str) -> None:
    with pytest.raises(SetupError, match="dialect") as caught:
        profile(tmp_path, {"dialect": "dialect.yaml"}, own=own)
    assert says in str(caught.value)


def test_a_dialect_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no dialect 'klingon'.*pixel_reasoner"):
        profile(tmp_path, {"dialect": "klingon"})
    with pytest.raises(SetupError, match="not beside it"):
        profile(tmp_path, {"dialect": "dialect.yaml"})
