"""`OPTIONS`, `OPERATION`, its arguments, and every other object that crosses a door."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from pixelis import schema
from pixelis.errors import InvalidOperation, InvalidRequest, LimitExceeded
from pixelis.schema import Operation, OperationGroup, OperationName, Options, parse_as
from python_backends.visual_ops.arguments import Arguments, parse
from python_backends.visual_ops.asked import media
from python_backends.visual_ops.asked import parsed as parsed_operation
from tests.fuzz import said
from tests.fuzz.odd import HALF, JSON, damaged, how_often, json_bytes, randoms, tampered
from tests.fuzz.run import Fuzz, parsed
from tests.operation_arguments import MODELS


def options(rng: Random, more: dict[str, Any], scratched: bool) -> bytes | str:
    made = json_bytes(rng, tampered(rng, {**said.options(rng), **more}, how_often(rng), list(said.OPTIONS)))
    data = damaged(rng, made, how_often(rng)) if scratched else made
    return data if rng.random() < 0.7 else data.decode(errors="surrogateescape")


MORE = st.one_of(
    st.just({}), st.just({}), st.builds(lambda name, value: {name: value}, st.sampled_from(list(said.OPTIONS)), JSON)
)
SELDOM = st.sampled_from((False, False, True))


def test_options(fuzz: Fuzz) -> None:
    def holds(text: bytes | str) -> bool:
        made = parsed(lambda: Options.parse(text), InvalidRequest)
        if made is None:
            return False
        assert Options.parse(made.model_dump_json()) == made
        assert Options.parse(made.model_dump_json(exclude_unset=True)) == made
        return True

    fuzz.given(st.builds(options, randoms(), MORE, SELDOM), holds)


def operation(rng: Random, more: Any, scratched: bool) -> bytes:
    made = said.operation(rng) if rng.random() < 0.7 else said.group(rng)
    if rng.random() < 0.2:
        made["arguments"] = more
    data = json_bytes(rng, tampered(rng, made, how_often(rng), ["operations", "enough", "arguments", "image_index"]))
    return damaged(rng, data, how_often(rng)) if scratched else data


def test_operations(fuzz: Fuzz) -> None:
    def holds(given: bytes) -> bool:
        made = parsed(lambda: parsed_operation(given), InvalidRequest, LimitExceeded)
        if made is None:
            return False
        assert isinstance(made, (Operation, OperationGroup))
        assert media(made) in ("images", "video")
        _returns(made)
        return True

    fuzz.given(st.builds(operation, randoms(), JSON, SELDOM), holds)


def _returns(made: BaseModel) -> None:
    """What was taken travels on, and is the same there; what is no number in JSON travels as null."""
    text = made.model_dump_json()
    assert type(made).model_validate_json(text.encode()).model_dump_json() == text


def arguments(rng: Random, name: OperationName, more: Any) -> tuple[OperationName, dict[str, Any]]:
    made = tampered(rng, said.arguments(rng, name), rng.choice((0, 0, 1, 1, 2)), list(said.ARGUMENTS[name]))
    if rng.random() < 0.1 and isinstance(made, dict):
        made[rng.choice(list(said.ARGUMENTS[name]))] = more
    return name, made if isinstance(made, dict) else {"": made}


def test_arguments_of_operations(fuzz: Fuzz) -> None:
    def holds(case: tuple[OperationName, dict[str, Any]]) -> bool:
        name, given = case
        model: Any = MODELS[name]
        made: Arguments | None = parsed(lambda: parse(model, given, name.value), InvalidOperation)
        if made is None:
            return False
        assert parse(model, made.model_dump(exclude_unset=True, mode="json"), name.value) == made
        return True

    fuzz.given(st.builds(arguments, randoms(), st.sampled_from(OperationName), JSON), holds)


GOOD: dict[type[BaseModel], dict[str, Any]] = {
    schema.Ballot: {
        "answer": "a",
        "confidence": 0.5,
        "neighbours": [{"experience_id": "a", "answer": "b", "similarity": 0.9, "confidence": 1}],
    },
    schema.RewardRequest: {
        "actions": [said.action(Random(1))],
        "states": [[0.5, 1.0]] * 2,
        "image_sizes": [[4, 4]],
        "answer": "a",
    },
    schema.KnnCommand: {
        "command": "asked",
        "experience": said.experience(Random(1)),
        "request_id": "r",
        "answer": "a",
        "retrieved": ["a"],
    },
    schema.ResidencyCommand: {"command": "lease", "model": "a", "deadline": 1e9, "load": True},
    schema.Sampling: {
        "request_id": "r",
        "max_tokens": 5,
        "temperature": 0.5,
        "stop": ["a"],
        "stop_ids": [1],
        "channel": "a" * 16,
        "seed": 3,
    },
    schema.PolicyEvent: {"tokens": [1, 2], "logprobs": [-0.5, 0], "finish": "stop", "stop": "a", "text_length": 3},
    schema.Event: {"event": "tool_call", "step": 1, "text": "a", "operation": said.operation(Random(1)), "code": None},
    schema.Experience: said.experience(Random(2)),
    schema.OperationResult: {"operation": "ZOOM_IN", "result": {"a": [1]}, "error": None, "looks": 2, "skipped": ["a"]},
}


def test_other_objects(fuzz: Fuzz) -> None:
    def make(rng: Random) -> tuple[type[BaseModel], bytes]:
        model = rng.choice(list(GOOD))
        data = json_bytes(rng, tampered(rng, GOOD[model], how_often(rng), list(model.model_fields)))
        return model, damaged(rng, data, how_often(rng)) if rng.random() < 0.3 else data

    def holds(case: tuple[type[BaseModel], bytes]) -> bool:
        model, text = case
        made = parsed(lambda: parse_as(model, text, "RESULT"), InvalidRequest)
        if made is not None:
            _returns(made)
        return made is not None

    fuzz.loop(make, holds)


def test_half_characters_are_among_the_cases() -> None:
    made = json_bytes(Random(0), {"a": HALF}), json_bytes(Random(1), {"a": HALF})
    assert {b"\\ud800" in one or b"\xed\xa0\x80" in one for one in made} == {True}
    assert json.loads(made[0] if b"\\u" in made[0] else made[1]) == {"a": HALF}
