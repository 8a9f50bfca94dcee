"""`OPTIONS` on the choice of tokens, from the question to the answer, by the trained nano without Triton."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builder.nano.pictures import encoded, media
from builder.nano.questions import ask
from pixelis.errors import InvalidRequest, NotFound
from pixelis.schema import Event
from pixelis.settings import settings
from python_backends.artifacts import artifact
from python_backends.pipeline.agent import Agent
from python_backends.pipeline.local import LocalModels
from python_backends.pipeline.memory import Voice

HOT = {"temperature": 1.5, "max_tokens": 64, "max_operations": 3}


@dataclass
class Asked:
    """What the agent wrote: the text of its tokens, a line for every other event, and how it ended."""

    text: str
    answer: str
    finish: str


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    found = settings()
    repository: Path = found.repository.absolute()
    try:
        directory = artifact(repository, "policy")
    except NotFound as error:
        pytest.skip(str(error))
    config = found.model_copy(update={"repository": repository, "state": tmp_path_factory.mktemp("state")})
    with LocalModels(config) as models:
        yield Agent.wire(models, Voice.load(directory), config)


def asked(agent: Agent, number: int, **options: Any) -> Asked:
    question = ask("where", "held_out", 910_000 + number)
    given = json.dumps({"timeout_s": 300, **media(question), **options}).encode()
    prepared = agent.preparer(encoded(question), question.text.encode(), given)
    said: list[str] = []

    def heard() -> Iterator[Event]:
        outcome = yield from agent.reasoner.run(prepared.images, prepared.request, prepared.views, stream=True)
        return outcome

    reasoning = heard()
    while True:
        try:
            event = next(reasoning)
        except StopIteration as end:
            return Asked("".join(said), end.value.answer, end.value.finish)
        said.append(event.text if event.event == "token" else "\n")


def test_a_seed_reproduces_and_another_one_differs(agent: Agent) -> None:
    first, again, other = ([asked(agent, number, seed=seed, **HOT) for number in range(3)] for seed in (0, 0, 1))
    assert first == again
    assert all(one.text != two.text for one, two in zip(first, other, strict=True))


def test_narrow_draws_are_what_the_policy_likes_best(agent: Agent) -> None:
    greedy = asked(agent, 0)
    for narrow in ({"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}):
        assert asked(agent, 0, **HOT, **narrow, seed=0).text == greedy.text
    assert asked(agent, 0, repetition_penalty=1.9).text != greedy.text


def test_one_token_and_stop_texts_end_the_answer(agent: Agent) -> None:
    short = asked(agent, 0, max_tokens=1)
    assert len(agent.reasoner._voice.tokenizer.encode(short.text)) == 1  # no call fits into it, so none is opened
    assert (short.text, short.finish) == (short.answer, "max_tokens")
    whole = asked(agent, 0, max_tokens=64, max_operations=1)
    stop = whole.text[3:9]
    stopped = asked(agent, 0, stop=[stop])
    assert (stopped.finish, stopped.text) == ("stop", whole.text[: whole.text.find(stop)])


def test_contradictions_are_refused(agent: Agent) -> None:
    with pytest.raises(InvalidRequest, match=r"`temperature` 0 and `top_p` 0\.5"):
        asked(agent, 0, top_p=0.5)
