"""What was asked before is not reasoned about again, and nothing else is answered from memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pixelis.cache_config import Cached
from pixelis.errors import Unavailable
from pixelis.schema import AgentOutcome, Event
from pixelis.settings import Settings
from python_backends.caching import Cache
from python_backends.caching.origin import Origin, Origins
from python_backends.images import DecodedImages
from python_backends.pipeline.agent import Agent
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.prepare import Prepared
from python_backends.pipeline.reason import Reasoner, outcome_of
from python_backends.pipeline.request_cache import CODEC, RequestCache
from tests.pipeline.conftest import png
from tests.pipeline.scripted import ScriptedModels, call

TURNS = [call("ZOOM_IN", region=[0, 0, 84, 84]), call("READ_TEXT", region=[0, 0, 84, 84]), "red"]


class Versions(Origins):
    """An origin that a test changes; none = it is not certain who answers."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"))
        self.policy: str | None = "3"

    def of(self, models: Sequence[str], *configuration: Any) -> Origin | None:
        return None if self.policy is None else Origin({"policy": self.policy}, json.dumps(configuration))


class Served:
    """A reasoner behind the cache; counts what it is asked."""

    def __init__(self, voice: Voice, config: Settings | None = None) -> None:
        self.voice, self.versions, self.reasoned, self.models = voice, Versions(), 0, ScriptedModels(voice, TURNS)
        self.kept: Cache[AgentOutcome] = Cache("request", CODEC, Cached())
        self.cache = RequestCache(self.kept, self.versions, config or Settings())

    def ask(self, prepared: Prepared) -> AgentOutcome:
        def reason() -> AgentOutcome:
            self.reasoned += 1
            self.models.prompts.clear()
            reasoner = Reasoner(self.models, self.voice, DecodedImages())
            return outcome_of(reasoner.run(prepared.images, prepared.request, prepared.views))

        return self.cache.get_or(prepared.request, reason)


@pytest.fixture
def served(voice: Voice) -> Served:
    return Served(voice)


def same(outcome: AgentOutcome) -> dict[str, Any]:
    return outcome.model_dump(exclude={"elapsed_ms", "timings_ms", "from_cache", "states"})


Prepare = Callable[..., Prepared]


def test_a_repeated_request_is_answered_from_the_cache(served: Served, prepare: Prepare) -> None:
    first, again = served.ask(prepare()), served.ask(prepare())
    assert (first.from_cache, again.from_cache, served.reasoned) == (False, True, 1)
    assert same(first) == same(again)
    assert set(again.timings_ms) == {"cache"}
    again.actions[0].arguments.clear()
    again.actions.pop()
    assert same(served.ask(prepare())) == same(first), "what is kept cannot be changed"


@pytest.mark.parametrize(
    "options",
    [
        {"use_cache": False},
        {"read_only": False},
        {"temperature": 0.5},
        {"temperature": 0.5, "use_cache": False, "seed": 1},
    ],
)
def test_what_is_not_from_here(served: Served, prepare: Prepare, options: dict[str, Any]) -> None:
    served.ask(prepare(**{**options, "use_cache": True, "read_only": True, "temperature": 0}))
    for _ in range(2):
        assert not served.ask(prepare(**options)).from_cache
    assert served.reasoned == 3


def test_a_seed_makes_a_drawn_answer_come_again(served: Served, prepare: Prepare) -> None:
    assert [served.ask(prepare(temperature=0.5, seed=seed)).from_cache for seed in (1, 1, 2)] == [False, True, False]


def test_retrieval_and_votes_do_not_matter_other_options_do(served: Served, prepare: Prepare) -> None:
    served.ask(prepare())
    assert served.ask(prepare(k=0, strategy="majority", timeout_s=3, reference_answer="x", priority=9)).from_cache
    assert not served.ask(prepare(max_operations=9)).from_cache
    assert not served.ask(prepare(question="Another?")).from_cache
    assert not served.ask(prepare([png(seed=1)])).from_cache


def test_another_version_or_setting_is_a_miss(served: Served, prepare: Prepare) -> None:
    served.ask(prepare())
    served.versions.policy = "4"
    assert not served.ask(prepare()).from_cache
    served.versions.policy = None
    assert not served.ask(prepare()).from_cache
    assert not served.ask(prepare()).from_cache, "nothing is kept while it is not certain who answers"
    served.versions.policy = "3"
    assert served.ask(prepare()).from_cache
    other = Settings()
    other.decoding.max_len = 1024
    served.cache = RequestCache(served.kept, served.versions, other)
    assert not served.ask(prepare()).from_cache


def test_a_version_that_changes_meanwhile_keeps_nothing(served: Served, prepare: Prepare) -> None:
    prepared = prepare()

    def reason() -> AgentOutcome:
        served.versions.policy = "4"
        return AgentOutcome(answer="by both", confidence=0.5, actions=[])

    assert served.cache.get_or(prepared.request, reason).answer == "by both"
    for version in ("3", "4"):
        served.versions.policy = version
        assert not served.ask(prepare()).from_cache


def test_what_time_or_a_dead_model_cut_short_is_not_kept(served: Served, prepare: Prepare) -> None:
    served.models.down["visual_ops"] = Unavailable("Model `visual_ops` is not up.")
    assert "unavailable" in str(served.ask(prepare()).actions[0].error)
    del served.models.down["visual_ops"]
    assert not served.ask(prepare()).from_cache
    assert served.ask(prepare()).from_cache
    cut = AgentOutcome(answer="half", confidence=0, actions=[], finish="timeout", error="deadline_exceeded: late")
    other = prepare(question="Other?")
    served.cache.get_or(other.request, lambda: cut)
    assert not served.ask(other).from_cache


def test_an_error_is_raised_and_not_kept(served: Served, prepare: Prepare) -> None:
    served.models.down["policy"] = Unavailable("Model `policy` is not up.")
    for _ in range(2):
        with pytest.raises(Unavailable):
            served.ask(prepare())
    assert served.reasoned == 2


def test_equal_requests_at_once_are_reasoned_about_once(served: Served, prepare: Prepare) -> None:
    served.models.pause = 0.01
    found: list[AgentOutcome] = []
    threads = [threading.Thread(target=lambda: found.append(served.ask(prepare()))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served.reasoned == 1
    assert sum(outcome.from_cache for outcome in found) == 15


def test_a_stream_from_the_cache_tells_the_same_story(voice: Voice, served: Served) -> None:
    agent = Agent.wire(served.models, voice, Settings(), requests=served.cache)

    def hear(**options: Any) -> list[Event]:
        served.models.prompts.clear()
        return list(agent.run([png()], b"What is it?", json.dumps(options).encode(), "mine"))

    first, again, other = hear(), hear(), hear(use_cache=False)
    assert [events[-1].result.from_cache for events in (first, again, other) if events[-1].result] == [
        False,
        True,
        False,
    ]
    told = [[event for event in events[:-1] if event.event != "token"] for events in (first, again)]
    assert told[0] == told[1]
    assert [event.text for event in again if event.event == "token"] == ["red"]
    assert [event.event for event in agent.run([png()], b"What is it?", None, stream=False)] == [
        *["tool_call", "observation"] * 2,
        "answer",
    ]
    assert again[-1].result is not None
    assert again[-1].result.request_id == "mine"


def test_a_refused_call_is_told_again(voice: Voice, served: Served) -> None:
    served.models.turns = [call("NO_SUCH", region=[0, 0, 1, 1]), "red"]
    agent = Agent.wire(served.models, voice, Settings(), requests=served.cache)
    stories = []
    for _ in range(2):
        served.models.prompts.clear()
        events = list(agent.run([png()], b"What is it?", None, stream=False))
        stories.append([event.model_dump(exclude={"result"}) for event in events])
    assert stories[0] == stories[1]
