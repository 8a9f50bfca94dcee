"""The stream of the four steps; what it ends with is what the steps answer one after the other."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from pixelis.errors import DeadlineExceeded, InvalidImage, Unavailable
from pixelis.schema import PipelineResult
from pixelis.settings import Settings
from python_backends.images import DecodedImages
from python_backends.pipeline.agent import Agent
from python_backends.pipeline.finish import Finisher
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.models import Floats
from python_backends.pipeline.prepare import Prepared
from python_backends.pipeline.reason import Reasoner, outcome_of
from python_backends.pipeline.recall import recall
from tests.pipeline.conftest import png
from tests.pipeline.scripted import ScriptedModels, call

TURNS = [call("ZOOM_IN", region=[0, 0, 84, 84]), call("READ_TEXT", region=[0, 0, 84, 84]), "red"]


def comparable(result: PipelineResult) -> dict[str, object]:
    """Without what differs from run to run: the id and the times."""
    found = result.model_dump(exclude={"request_id", "timings_ms"})
    for action in found["trajectory"]:
        del action["elapsed_ms"]
    return found


def test_the_final_event_is_what_the_ensemble_answers(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    agent = Agent.wire(ScriptedModels(voice, TURNS), voice, Settings())
    *events, last = list(agent.run([png()], b"What is it?", json.dumps({"k": 3}).encode(), "mine"))
    assert [event.event for event in events if event.event != "token"] == ["tool_call", "observation"] * 2
    assert last.event == "answer"
    assert last.result is not None
    assert (last.text, last.step, last.result.request_id) == ("red", 2, "mine")

    models, prepared = ScriptedModels(voice, TURNS), prepare(k=3)
    (found,) = recall(models, [prepared.request], prepared.retrieval_view[None])
    outcome = outcome_of(
        Reasoner(models, voice, DecodedImages()).run(prepared.images, prepared.request, prepared.views)
    )
    finisher = Finisher(models, voice.profile, DecodedImages(), Settings().retrieval)
    alone = finisher(prepared.images, prepared.request, found.outcome, found.key, outcome)
    assert comparable(last.result) == comparable(alone)


def test_without_tokens(voice: Voice) -> None:
    agent = Agent.wire(ScriptedModels(voice, TURNS), voice, Settings())
    assert all(event.event != "token" for event in agent.run([png()], b"?", None, stream=False))


def test_errors_end_the_stream(voice: Voice) -> None:
    models = ScriptedModels(voice, TURNS)
    agent = Agent.wire(models, voice, Settings())
    with pytest.raises(InvalidImage):
        list(agent.run([b"no picture"], b"?", None))
    models.down["policy"] = Unavailable("down")
    with pytest.raises(Unavailable):
        list(agent.run([png()], b"?", None))


def test_a_request_that_waited_for_longer_than_its_time_is_not_begun(voice: Voice) -> None:
    agent = Agent.wire(ScriptedModels(voice, TURNS), voice, Settings())
    with pytest.raises(DeadlineExceeded):
        list(agent.run([png()], b"What is it?", b'{"timeout_s": 5}', arrived=time.time() - 6))


def test_a_request_that_runs_out_of_time_ends_with_what_it_has(voice: Voice) -> None:
    models = ScriptedModels(voice, ["red plus red plus red plus"])
    models.pause = 0.3
    started = time.time()
    *events, last = list(Agent.wire(models, voice, Settings()).run([png()], b"What is it?", b'{"timeout_s": 1}'))
    assert time.time() - started < 2
    assert {event.event for event in events} == {"token"}
    assert last.event == "answer"
    assert last.result is not None
    assert last.text.startswith("red")
    assert last.text.strip() == "".join(event.text for event in events).strip()
    assert last.result.confidence == 0.0
    (said,) = [reason for reason in last.result.provenance.reasons if reason.startswith("reason: ")]
    assert said.startswith("reason: deadline_exceeded: The request ran out of time.")


def test_a_recall_that_does_not_come_back_costs_the_neighbours(voice: Voice) -> None:
    class Stuck(ScriptedModels):
        def embed_text(self, texts: Sequence[str], deadline: float) -> Floats:
            forever.wait(3)  # `finish` asks it too, in this thread
            return super().embed_text(texts, deadline)

    forever = threading.Event()
    models = Stuck(voice, ["red"])
    *_, last = Agent.wire(models, voice, Settings()).run([png()], b"What is it?", b'{"timeout_s": 1}')
    forever.set()
    assert last.text == "red"
    assert last.result is not None
    assert any(reason.startswith("recall: deadline_exceeded") for reason in last.result.provenance.reasons)
