"""What a policy writes: turns in each dialect, the operations that they ask for, calls under the grammar, places."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import strategies as st

from pixelis.errors import InvalidOperation
from python_backends.pipeline.dialect import Answer, Call, Malformed, operations, parse_turn
from python_backends.pipeline.dialects import Dialect, load_dialect, shipped
from python_backends.pipeline.grounding import located
from python_backends.pipeline.spaces import Frame, Space
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.grammar import CallGrammar
from python_backends.policy.tokenizer import PolicyTokenizer
from tests.fuzz import said
from tests.fuzz.odd import JSON, PIECES, damaged, how_often, json_bytes, odd, randoms, tampered
from tests.fuzz.run import Fuzz, parsed
from tests.policy import vocabularies

FRAMES = [Frame(0, (0, 0, 640, 480), (168, 168)), Frame(1, (10, 20, 11, 21), (28, 56), whole=False)]
_SIGNS = b"<tool_call> </tool_call> <think> </think> <answer> </answer> \\boxed{ \\ ```json\n \n```"
_MARKS = (*_SIGNS.split(b" "), b"{" * 50, b"}" * 50, b"<tool_call>" * 200, *PIECES)


def call(rng: Random, dialect: Dialect) -> dict[str, Any]:
    """A call of one of a dialect's tools; its arguments are about as they should be."""
    name = rng.choice(list(dialect.tools))
    tool = dialect.tools[name]
    target = dialect.target_of(tool)
    own = said.arguments(rng, tool.operation)
    if tool.frames:
        made: dict[str, Any] = {tool.frames: rng.choice(([1], [1, 2], [0], [9]))}
    elif tool.arguments is not None:
        made = {key: own.get(value, [1, 2, 30, 40]) for key, value in tool.arguments.items()}
    else:
        made = own
    if rng.random() < 0.4:
        made[target.argument] = rng.choice((0, 1, 2, 3))
    return {"name": name, "arguments": json.dumps(made) if rng.random() < 0.1 else made}


def turn(rng: Random, name: str, more: Any) -> tuple[Dialect, str]:
    """A turn of a dialect, often wrong."""
    dialect = load_dialect(name)
    made = tampered(rng, call(rng, dialect), rng.choice((0, 0, 0, 1, 2)), ["name", "arguments", "target_image"])
    if rng.random() < 0.1 and isinstance(made, dict):
        made["arguments"] = more
    before = rng.choice((b"", b"<think>so</think>", b"red "))
    data = b"%s<tool_call>\n%s\n</tool_call>" % (before, json_bytes(rng, made))
    if rng.random() < 0.2:
        data = rng.choice((b"<answer>a</answer>", b"<think>b</think> \\boxed{a{b}} ", b"red", b"", b"<think>"))
    data = damaged(rng, data, how_often(rng), _MARKS) if rng.random() < 0.4 else data
    return dialect, data.decode(errors=rng.choice(("replace", "surrogateescape")))


def test_turns(fuzz: Fuzz) -> None:
    spaces: tuple[Space, ...] = ("view_pixels", "relative_1000", "relative_1")

    def holds(case: tuple[Dialect, str]) -> bool:
        dialect, text = case
        act = parse_turn(text, dialect).act
        if isinstance(act, Answer):
            assert act.text == text[act.start : act.end]
            return False
        if isinstance(act, Malformed):
            assert 0 < len(act.reason) < 1000
            return False
        json.dumps(act.arguments, ensure_ascii=False, allow_nan=False).encode()
        for space in spaces:
            planned = parsed(partial(operations, act, FRAMES, space, dialect), InvalidOperation)
            for operation, frame in planned or ():
                assert operation.image_index == frame.image_index
                assert type(operation).model_validate_json(operation.model_dump_json()) == operation
        return True

    fuzz.given(st.builds(turn, randoms(), st.sampled_from(shipped()), JSON), holds)


def test_places(fuzz: Fuzz) -> None:
    """Answers in grounding form; those that are not are said as they are."""

    def make(rng: Random) -> str:
        value = rng.choice(
            (
                {"point_2d": [10, 20.5]},
                [{"bbox_2d": [1, 2, 3, 4], "label": "é"}] * 2,
                {"point_2d": [1, 2], "target_image": 2},
            )
        )
        text = json.dumps(
            tampered(rng, value, rng.choice((0, 0, 1, 2)), ["bbox_2d", "target_image"]), ensure_ascii=False
        )
        text = f"```json\n{text}\n```" if rng.random() < 0.3 else text
        return (
            damaged(rng, text.encode(errors="replace"), 1, _MARKS).decode(errors="replace")
            if rng.random() < 0.2
            else text
        )

    def holds(text: str) -> bool:
        found = located(text, FRAMES, "view_pixels")
        if found == text:
            return False
        json.loads(found.encode())
        return True

    fuzz.loop(make, holds)


@pytest.fixture(scope="module")
def grammar(tmp_path_factory: pytest.TempPathFactory) -> tuple[CallGrammar, CheckpointConfig, PolicyTokenizer]:
    directory = vocabularies.nano(tmp_path_factory.mktemp("nano"))
    config = CheckpointConfig.load(directory)
    return CallGrammar(directory, config), config, PolicyTokenizer(directory)


def test_calls_under_the_grammar(fuzz: Fuzz, grammar: tuple[CallGrammar, CheckpointConfig, PolicyTokenizer]) -> None:
    """What the grammar takes to its end, the parser takes, and operations are made of it."""
    guides, config, tokenizer = grammar
    dialect = load_dialect("qwen2_5_vl")

    def make(rng: Random) -> str:
        made = call(rng, dialect)
        if isinstance(made["arguments"], dict) and rng.random() < 0.4:
            made["arguments"] = tampered(rng, made["arguments"], 1, ["target_image"]) if made["arguments"] else odd(rng)
        text = json.dumps(made, ensure_ascii=rng.random() < 0.5)[:2000]
        data = damaged(rng, text.encode(errors="replace"), 1) if rng.random() < 0.2 else text.encode(errors="replace")
        return f"<tool_call>\n{data.decode(errors='replace')}\n</tool_call>"

    def holds(text: str) -> bool:
        guide = guides.guide(config.end_ids, 4000, len(FRAMES))
        for token in map(int, tokenizer.encode(text)):
            if not guide.take(token):
                return False
        assert not guide.inside
        act = parse_turn(text, dialect).act
        assert isinstance(act, Call)
        assert operations(act, FRAMES, "view_pixels", dialect)
        return True

    fuzz.loop(make, holds)


def test_dialects(fuzz: Fuzz, tmp_path: Path) -> None:
    """A checkpoint's own."""
    from pixelis.errors import SetupError
    from python_backends.pipeline.dialects import load, read_dialect

    path = tmp_path / "dialect.yaml"
    good = [(Path(load.__file__).parent / f"{name}.yaml").read_bytes() for name in shipped()]
    good += [b"extends: deepeyes\ntools:\n  image_zoom_in_tool: null\n  see: {operation: READ_TEXT}\n"]
    words = (
        b"extends: ",
        b"tools:",
        b"operation: ZOOM_IN",
        b"null",
        b"- ",
        b": ",
        b"  ",
        b"{}",
        b"[]",
        b"1",
        b"<<: ",
        b"&a ",
        *PIECES,
    )

    def holds(data: bytes) -> bool:
        path.write_bytes(data)
        made = parsed(lambda: read_dialect(path), SetupError)
        if made is not None:
            parse_turn('<tool_call>{"name": "see", "arguments": {}}</tool_call>', made)
        return made is not None

    fuzz.loop(lambda rng: damaged(rng, rng.choice(good), rng.choice((0, 1, 1, 2)), words), holds)
