"""What a later turn of the agent costs, by the trained nano without Triton: its own new tokens and no others."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builder.nano.pictures import encoded, media
from builder.nano.questions import ask
from pixelis.errors import NotFound
from pixelis.schema import PolicyEvent, Sampling
from pixelis.settings import settings
from python_backends.artifacts import artifact
from python_backends.pipeline.agent import Agent
from python_backends.pipeline.local import LocalModels
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.models import Floats
from python_backends.pipeline.reason import outcome_of


@dataclass
class Turn:
    """Tokens of one turn.

    Attributes:
        prompt: of the prompt.
        made: written, the one that ended the turn included.
        found: of the prompt, that were known.
        read: of the prompt, that were read.
    """

    prompt: int
    made: int
    found: int
    read: int


class Watched(LocalModels):
    """Writes down what every turn costs."""

    turns: list[Turn]

    def generate(
        self, prompt_ids: NDArray[np.int64], visual: Floats, grids: NDArray[np.int32], sampling: Sampling
    ) -> Iterator[PolicyEvent]:
        metrics, made = self._policy.metrics, 0
        found, read = metrics.prefix_found, metrics.prefill_tokens
        try:
            for event in super().generate(prompt_ids, visual, grids, sampling):
                made += len(event.tokens)
                yield event
        finally:
            cost = metrics.prefix_found - found, metrics.prefill_tokens - read
            self.turns.append(Turn(len(prompt_ids), made, *cost))


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    found = settings()
    repository: Path = found.repository.absolute()
    try:
        directory = artifact(repository, "policy")
    except NotFound as error:
        pytest.skip(str(error))
    config = found.model_copy(update={"repository": repository, "state": tmp_path_factory.mktemp("state")})
    with Watched(config) as models:
        yield Agent.wire(models, Voice.load(directory), config)


def turns_of(agent: Agent, family: str, number: int, **options: Any) -> list[Turn]:
    question = ask(family, "held_out", 920_000 + number)
    given = json.dumps({"timeout_s": 300, **media(question), **options}).encode()
    prepared = agent.preparer(encoded(question), question.text.encode(), given)
    models = agent.models
    assert isinstance(models, Watched)
    models.turns = []
    outcome_of(agent.reasoner.run(prepared.images, prepared.request, prepared.views, stream=True))
    return models.turns


@pytest.mark.parametrize("family", ["label", "colour", "count", "leaves"])
def test_a_later_turn_reads_its_new_tokens_alone(agent: Agent, family: str) -> None:
    shares = []
    for number in range(3):
        turns = turns_of(agent, family, number)
        assert len(turns) > 1, "one turn shows nothing"
        for before, turn in itertools.pairwise(turns):
            # All that was there, but the token that ended the turn: nothing was written after it, so it was not read.
            assert turn.found == before.prompt + before.made - 1
            assert turn.read == turn.prompt - turn.found
            shares.append(turn.read / turn.prompt)
    print(f"{family}: {100 * min(shares):.0f} to {100 * max(shares):.0f} % of a later turn's prompt are new")


def test_another_question_on_the_same_image_reads_the_question_alone(agent: Agent) -> None:
    first, *_ = turns_of(agent, "where", 30)
    second, *_ = turns_of(agent, "colour", 30)
    assert first.found < 8  # the words before the image
    assert second.found > 36  # and those of the image
    assert second.read == second.prompt - second.found
    print(f"second question on an image: {second.read} of {second.prompt} tokens are read, {first.read} of the first")
