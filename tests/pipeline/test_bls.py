"""Turns of the policy across Triton."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from pixelis.schema import PolicyEvent, Sampling
from python_backends.pipeline.bls import TritonModels, token_by_token
from python_backends.pipeline.words import TextTokens
from python_backends.rows import Tensors, json_text

TURN = PolicyEvent(tokens=[5, 6, 7], logprobs=[-0.1, -0.2, -0.3], finish="stop")


class OneTurn:
    """A policy that answers every prompt with the same turn."""

    def __init__(self) -> None:
        self.sampling: list[Sampling] = []

    def call(self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float) -> Tensors:
        raise AssertionError(model)

    def stream(self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float) -> Iterator[Tensors]:
        self.sampling.append(Sampling.model_validate_json(inputs["SAMPLING"][0]))
        yield {"EVENT": json_text(TURN)}


@pytest.mark.parametrize("stream", [True, False])
def test_a_turn_is_one_message_also_where_its_tokens_are_wanted(stream: bool, tmp_path: Path) -> None:
    policy = OneTurn()
    models = TritonModels(policy, tmp_path, TextTokens.__new__(TextTokens), 8)
    sampling = Sampling(request_id="a", stream=stream, deadline=2e9)
    prompt, visual, grids = np.zeros(3, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.int32)
    events = list(models.generate(prompt, visual, grids, sampling))
    assert [one.stream for one in policy.sampling] == [False]
    assert events == (list(token_by_token(TURN)) if stream else [TURN])


def test_tokens_one_by_one() -> None:
    events = list(token_by_token(TURN))
    assert [(event.tokens, event.logprobs, event.finish) for event in events] == [
        ([5], [-0.1], None),
        ([6], [-0.2], None),
        ([7], [-0.3], "stop"),
    ]
    nothing = PolicyEvent(finish="cancelled")
    assert list(token_by_token(nothing)) == [nothing]
