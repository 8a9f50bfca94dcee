"""A policy that has too much to do, seen from the agent, by the trained nano without Triton."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from builder.nano.pictures import encoded
from builder.nano.questions import ask
from pixelis.errors import NotFound, Unavailable
from pixelis.schema import Event, Sampling
from pixelis.settings import Decoding, settings
from python_backends.artifacts import artifact
from python_backends.pipeline.agent import Agent
from python_backends.pipeline.local import LocalModels
from python_backends.pipeline.memory import Voice
from tests.waiting import until


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """One row, and one request that may wait for it."""
    found = settings()
    repository = found.repository.absolute()
    try:
        directory = artifact(repository, "policy")
    except NotFound as error:
        pytest.skip(str(error))
    decoding = Decoding(slots=1, max_waiting=1)
    config = found.model_copy(update={"repository": repository, "state": tmp_path, "decoding": decoding})
    with LocalModels(config) as models:
        yield Agent.wire(models, Voice.load(directory), config)


def last(agent: Agent, options: bytes) -> Event:
    question = ask("where", "held_out", 930_000)
    *_, event = agent.run(encoded(question), question.text.encode(), options)
    return event


def occupy(models: LocalModels, held: threading.Event) -> None:
    """Hold the row until it is cancelled."""
    sampling = Sampling(request_id="occupies", max_tokens=2000, ignore_end=True)
    nothing = np.zeros((0, 0), np.float32)
    for event in models.generate(np.array([20, 21, 22]), nothing, np.zeros(0, np.int32), sampling):
        if event.tokens:
            held.set()


def test_who_finds_the_queue_full_is_told_when_to_come_again_and_an_urgent_one_is_let_in(agent: Agent) -> None:
    models, held = agent.models, threading.Event()
    assert isinstance(models, LocalModels)
    metrics = models._policy.metrics
    with ThreadPoolExecutor(3) as pool:
        holder = pool.submit(occupy, models, held)
        assert held.wait(10)
        waiter = pool.submit(last, agent, b'{"k": 0}')
        assert until(lambda: metrics.waiting == 1)
        with pytest.raises(Unavailable, match=r"1 requests wait .* Try again in \d+\.\d s\.") as refused:
            last(agent, b'{"k": 0}')
        assert refused.value.retry_after_s is not None
        assert refused.value.retry_after_s > 0
        assert metrics.refused == 1
        assert not holder.done()
        urgent = last(agent, b'{"k": 0, "priority": 7}')
        # On a slow machine the row may have been written to its end meanwhile; else the ordinary one still waits.
        assert not waiter.done() or until(holder.done)
        models.cancel("occupies")
        holder.result(10)
        ordinary = waiter.result(10)
    assert urgent.event == ordinary.event == "answer"
    assert urgent.text == ordinary.text != ""
    assert metrics.finished["cancelled"] + metrics.finished["length"] == 1
    assert metrics.refused == 1
