"""Turns of the policy across Triton."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pixelis.errors import DeadlineExceeded
from pixelis.schema import PolicyEvent, Sampling
from python_backends.channel.listener import Listener
from python_backends.channel.speaker import Speaker
from python_backends.deadlines import Bell, stream_by
from python_backends.pipeline.bls import TritonModels, token_by_token
from python_backends.pipeline.words import TextTokens
from python_backends.rows import Tensors, json_text

TURN = PolicyEvent(tokens=[5, 6, 7], logprobs=[-0.1, -0.2, -0.3], finish="stop")


class OneTurn:
    """A policy that answers every prompt with the same turn.

    Args:
        channel: where it says its tokens on the way.
        go_on: what it waits for before its last token.
    """

    def __init__(self, channel: Path | None = None, go_on: threading.Event | None = None) -> None:
        self.sampling: list[Sampling] = []
        self.speaker = channel and Speaker(channel)
        self.go_on = go_on

    def call(self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float, version: int = -1) -> Tensors:
        raise AssertionError(model)

    def stream(
        self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float, bell: Bell[Tensors] | None = None
    ) -> Iterator[Tensors]:
        sampling = Sampling.model_validate_json(inputs["SAMPLING"][0])
        self.sampling.append(sampling)
        return stream_by(deadline, lambda: self._answers(sampling), model, bell=bell)

    def _answers(self, sampling: Sampling) -> Iterator[Tensors]:
        turn = self.speaker and self.speaker.turn(sampling)
        if turn:
            for event in islice(token_by_token(TURN), 2):
                turn.take(event)
        if self.go_on is not None:
            self.go_on.wait(10)
        yield {"EVENT": json_text(TURN)}


def generate(
    policy: OneTurn, repository: Path, listener: Listener | None = None, **how: object
) -> Iterator[PolicyEvent]:
    models = TritonModels(policy, repository, TextTokens.__new__(TextTokens), 8, listener)
    sampling = Sampling.model_validate({"request_id": "a", "deadline": 2e9, **how})
    prompt, visual, grids = np.zeros(3, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.int32)
    return models.generate(prompt, visual, grids, sampling)


@pytest.mark.parametrize("stream", [True, False])
def test_a_turn_is_one_message_also_where_its_tokens_are_wanted(stream: bool, tmp_path: Path) -> None:
    policy = OneTurn()
    events = list(generate(policy, tmp_path, stream=stream))
    assert [(one.stream, one.channel) for one in policy.sampling] == [(False, None)]
    assert events == (list(token_by_token(TURN)) if stream else [TURN])


def test_tokens_come_while_the_turn_goes_on(tmp_path: Path) -> None:
    folder, go_on = tmp_path / "channel", threading.Event()
    listener, policy = Listener(folder), OneTurn(folder, go_on)
    seen: list[PolicyEvent] = []
    for event in generate(policy, tmp_path, listener):
        seen.append(event)
        if [token for one in seen for token in one.tokens] == [5, 6]:
            assert seen[-1].finish is None
            go_on.set()
    listener.close()
    assert go_on.is_set()
    assert [token for one in seen for token in one.tokens] == TURN.tokens
    assert [logprob for one in seen for logprob in one.logprobs] == TURN.logprobs
    assert [one.finish for one in seen if one.finish] == ["stop"] == [seen[-1].finish]
    assert [(one.stream, one.channel) for one in policy.sampling] == [(False, listener.name)]


def test_a_turn_whose_tokens_nobody_wants_says_nothing_on_the_way(tmp_path: Path) -> None:
    folder = tmp_path / "channel"
    listener, policy = Listener(folder), OneTurn(folder)
    assert list(generate(policy, tmp_path, listener, stream=False)) == [TURN]
    listener.close()
    assert policy.sampling[0].channel is None


def test_whoever_waits_may_look_around_until_the_deadline(tmp_path: Path) -> None:
    forever = threading.Event()
    events = generate(OneTurn(go_on=forever), tmp_path, deadline=time.time() + 0.7)
    assert [next(events), next(events)] == [PolicyEvent()] * 2
    with pytest.raises(DeadlineExceeded):
        list(events)
    forever.set()


def test_tokens_one_by_one() -> None:
    events = list(token_by_token(TURN))
    assert [(event.tokens, event.logprobs, event.finish) for event in events] == [
        ([5], [-0.1], None),
        ([6], [-0.2], None),
        ([7], [-0.3], "stop"),
    ]
    nothing = PolicyEvent(finish="cancelled")
    assert list(token_by_token(nothing)) == [nothing]
