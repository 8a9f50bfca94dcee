"""`SAMPLING` in vLLM's words."""

from __future__ import annotations

import json

import pytest

from pixelis.schema import Sampling
from python_backends.policy.vllm.parameters import parameters


def said(**sampling: object) -> dict[str, object]:
    found: dict[str, object] = json.loads(parameters(Sampling(request_id="x", **sampling), {5, 3}, 40))  # type: ignore[arg-type]
    return found


def test_the_likeliest_token_needs_few_words() -> None:
    assert said() == {
        "temperature": 0.0,
        "top_p": 1.0,
        "repetition_penalty": 1.0,
        "max_tokens": 40,
        "stop_token_ids": [3, 5],
        "ignore_eos": False,
        "logprobs": 0,
    }


@pytest.mark.parametrize(
    ("name", "value"), [("top_k", 5), ("min_p", 0.1), ("seed", 0), ("stop", ["a", "b"]), ("repetition_penalty", 1.2)]
)
def test_the_others_go_as_they_are(name: str, value: object) -> None:
    assert said(temperature=0.7, **{name: value}) == {**said(temperature=0.7), name: value}


def test_a_structure_is_json_in_json_as_the_backend_reads_it() -> None:
    found = json.loads(parameters(Sampling(request_id="x"), (), 1, '{"type":"structural_tag"}'))
    assert json.loads(found["structured_outputs"]) == {"structural_tag": '{"type":"structural_tag"}'}
