"""Every field that a value depends on changes its key."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelis.schema import MAX_SEED, Exchange, Operation, OperationName, Options, PreparedRequest
from python_backends.caching import keys
from python_backends.caching.origin import Origin

ORIGIN = Origin({"policy": "3", "vision_encoder": "2"}, "ab12")
OTHERS = [
    Origin({"policy": "4", "vision_encoder": "2"}, "ab12"),
    Origin({"policy": "3"}, "ab12"),
    Origin({"policy": "3", "vision_encoder": "2"}, "ab13"),
]

OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0.01, 2),
    "top_p": st.floats(0.01, 1),
    "top_k": st.integers(0, 1000),
    "min_p": st.floats(0, 1),
    "repetition_penalty": st.floats(0.01, 2),
    "stop": st.lists(st.text(min_size=1, max_size=4), max_size=3),
    "seed": st.none() | st.integers(0, MAX_SEED),
    "max_operations": st.integers(1, 50),
    "max_tokens": st.integers(1, 8192),
    "media": st.sampled_from(["images", "video"]),
    "fps": st.floats(0.1, 240),
    "system": st.none() | st.text(max_size=9),
    "history": st.lists(
        st.builds(Exchange, question=st.text(min_size=1, max_size=4), answer=st.text(max_size=4)), max_size=2
    ),
    "model": st.none() | st.sampled_from(["large", "small"]),
    "tenant": st.sampled_from(["", "a", "b"]),
}
REQUEST: dict[str, st.SearchStrategy[Any]] = {
    "question": st.text(max_size=9),
    "digest": st.text("0123456789abcdef", min_size=4, max_size=4),
    "sizes": st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3),
}
ELSEWHERE = {
    "k": 9,
    "strategy": "majority",
    "use_cache": False,
    "read_only": False,
    "timeout_s": 2.0,
    "reference_answer": "x",
    "priority": 9,
}


def request(**fields: Any) -> PreparedRequest:
    chosen = {"temperature": 1.0, **{name: value for name, value in fields.items() if name in Options.model_fields}}
    own = {name: value for name, value in fields.items() if name in REQUEST}
    made = {
        "request_id": "a",
        "question": "What?",
        "digest": "00",
        "sizes": [(3, 4)],
        "started_at": 1.0,
        "deadline": 2.0,
    }
    return PreparedRequest(options=Options(**chosen), **{**made, **own})


def test_every_option_is_in_the_key_or_outside_for_a_reason() -> None:
    assert set(OPTIONS) | set(ELSEWHERE) == set(Options.model_fields)
    assert set(ELSEWHERE) == keys.OUTSIDE


@given(st.sampled_from([*OPTIONS, *REQUEST]), st.data())
def test_every_field_of_a_request_changes_its_key(field: str, data: st.DataObject) -> None:
    values = {**OPTIONS, **REQUEST}[field]
    a, b = data.draw(values), data.draw(values)
    one, other = (keys.request_key(ORIGIN, request(**{field: value})) for value in (a, b))
    assert (one == other) == (a == b)


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_what_does_not_reach_the_agent_changes_nothing(name: str) -> None:
    assert keys.request_key(ORIGIN, request()) == keys.request_key(ORIGIN, request(**{name: ELSEWHERE[name]}))
    later = request().model_copy(update={"request_id": "b", "started_at": 7.0, "deadline": 9.0, "elapsed_ms": 3.0})
    assert keys.request_key(ORIGIN, request()) == keys.request_key(ORIGIN, later)


VIEW = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
STATE, STEP = np.arange(6, dtype=np.float32), np.arange(4, dtype=np.float32)
OPERATION = Operation(operation=OperationName.ZOOM_IN, arguments={"region": [0, 0, 5, 5]})
WEIGHTS = {"task": 1.0, "curiosity": 0.3}


def nudged(array: Any) -> Any:
    other = array.copy()
    other.reshape(-1)[-1] += 1
    return other


BUILDERS: list[tuple[Any, dict[str, Any], dict[str, list[Any]]]] = [
    (keys.image_key, {"view": VIEW}, {"view": [nudged(VIEW), VIEW.transpose(1, 0, 2), VIEW[:2]]}),
    (keys.vision_key, {"view": VIEW}, {"view": [nudged(VIEW), VIEW.reshape(2, 8, 3)]}),
    (keys.text_key, {"text": "a b"}, {"text": ["a  b", "A b", ""]}),
    (
        keys.reward_key,
        {"before": STATE, "action": STEP, "after": STATE, "weights": WEIGHTS},
        {
            "before": [nudged(STATE)],
            "after": [nudged(STATE)],
            "action": [nudged(STEP)],
            "weights": [{**WEIGHTS, "curiosity": 0.4}],
        },
    ),
    (
        keys.operation_key,
        {"pictures": ["x", "y"], "operation": OPERATION, "looks": {"steps": [0.5, 1.0]}},
        {
            "pictures": [["xy"], ["y", "x"], ["x", "z"], ["x", "y", ""]],
            "looks": [None, {"steps": [1.0]}],
            "operation": [
                OPERATION.model_copy(update={"operation": OperationName.READ_TEXT}),
                OPERATION.model_copy(update={"arguments": {"region": [0, 0, 5, 6]}}),
                OPERATION.model_copy(update={"arguments": {"region": [0, 0, 5, 5], "normalized": True}}),
                OPERATION.model_copy(update={"image_index": 1}),
                OPERATION.model_copy(update={"resolution": "full"}),
            ],
        },
    ),
]


@pytest.mark.parametrize(("build", "parts", "others"), BUILDERS, ids=lambda v: getattr(v, "__name__", ""))
def test_every_part_and_the_origin_change_a_key(
    build: Any, parts: dict[str, Any], others: dict[str, list[Any]]
) -> None:
    assert set(parts) == set(others)
    made = {build(ORIGIN, **parts)}
    changed = [{**parts, name: value} for name, values in others.items() for value in values]
    made |= {build(ORIGIN, **one) for one in changed} | {build(origin, **parts) for origin in OTHERS}
    assert len(made) == 1 + len(changed) + len(OTHERS)
    assert build(replace(ORIGIN), **parts) == build(ORIGIN, **parts)


def test_before_and_after_are_not_interchangeable() -> None:
    other = nudged(STATE)
    assert keys.reward_key(ORIGIN, STATE, STEP, other, WEIGHTS) != keys.reward_key(ORIGIN, other, STEP, STATE, WEIGHTS)


def test_things_of_equal_content_have_different_keys() -> None:
    assert keys.image_key(ORIGIN, VIEW) != keys.vision_key(ORIGIN, VIEW)


def test_a_search_is_of_a_store_at_an_epoch() -> None:
    base = {"owner": b"a", "epoch": 1, "rounded": np.arange(3.0), "k": 5, "tenant": ""}
    changes = [{"owner": b"b"}, {"epoch": 2}, {"rounded": np.arange(3.0) + 1}, {"k": 6}, {"tenant": "a"}]
    assert {name for one in changes for name in one} == set(base) == set(inspect.signature(keys.search_key).parameters)
    assert len({keys.search_key(**{**base, **one}) for one in [{}, *changes]}) == 1 + len(changes)
