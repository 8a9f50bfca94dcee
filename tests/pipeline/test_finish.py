"""Reward, vote, learning and the result; nothing that fails here fails the request."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from pixelis.errors import Unavailable
from pixelis.schema import Action, AgentOutcome, Neighbour, PipelineResult, RecallOutcome
from pixelis.settings import Retrieval
from python_backends.images import DecodedImages, decode
from python_backends.pipeline.finish import Finisher
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.prepare import Prepared
from python_backends.pipeline.recall import recall
from python_backends.pipeline.states import crops_of, state_keys, state_texts
from tests.pipeline.scripted import ScriptedModels

ZOOM = Action(
    type="VISUAL_OPERATION",
    operation="ZOOM_IN",
    arguments={"region": [0, 0, 84, 84]},
    result={"region": [0, 0, 84, 84]},
)
READ = Action(type="VISUAL_OPERATION", operation="READ_TEXT", result={"text": "AB"})
BROKEN = Action(type="VISUAL_OPERATION", error="The tool call is not JSON.")
ANSWER = Action(type="ANSWER", text="cat")
OUTCOME = AgentOutcome(answer="cat", confidence=0.8, actions=[ZOOM, READ, ANSWER])


def neighbours(*answers: str) -> list[Neighbour]:
    return [
        Neighbour(experience_id=f"{i}", answer=answer, similarity=1.0, confidence=0.9)
        for i, answer in enumerate(answers)
    ]


def finish(
    models: ScriptedModels, prepared: Prepared, outcome: AgentOutcome = OUTCOME, recalled: RecallOutcome | None = None
) -> PipelineResult:
    (found,) = recall(models, [prepared.request], prepared.retrieval_view[None])
    finisher = Finisher(models, models.voice.profile, DecodedImages(), Retrieval())
    return finisher(prepared.images, prepared.request, recalled or found.outcome, found.key, outcome)


def test_a_result(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    models.neighbours = neighbours("cat", "cat", "dog")
    result = finish(models, prepare(reference_answer="cat"))
    assert result.answer == "cat"
    assert 0 < result.confidence < 0.9
    assert result.reward is not None
    assert result.reward.task == 1.0
    assert len(result.reward.curiosity_steps) == 2
    assert result.provenance.agent_confidence == 0.8
    assert result.provenance.reasons == []
    assert result.versions == {"policy": "1"}
    assert {"prepare", "recall", "reason", "finish", "total", "finish.reward", "recall.knn"} <= set(result.timings_ms)
    assert models.inserted == []


def test_neighbours_may_outvote_the_agent(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    models.neighbours = neighbours("dog", "dog", "dog", "dog")
    result = finish(models, prepare())
    assert (result.answer, result.provenance.agent_answer) == ("dog", "cat")


@pytest.mark.parametrize("reason", ["cold_start", "no_retrieval"])
def test_without_retrieval_the_agents_answer_stands(
    voice: Voice, prepare: Callable[..., Prepared], reason: str
) -> None:
    result = finish(ScriptedModels(voice, [""]), prepare(), recalled=RecallOutcome(reason=reason))
    assert (result.answer, result.confidence, result.provenance.reason) == ("cat", 0.8, reason)
    assert result.provenance.reasons == []


@pytest.mark.parametrize("model", ["reward", "vote", "embed_image", "embed_text", "knn"])
def test_what_fails_is_left_out_and_said(voice: Voice, prepare: Callable[..., Prepared], model: str) -> None:
    models = ScriptedModels(voice, [""])
    models.down[model] = Unavailable(f"{model} is down")
    result = finish(models, prepare())
    assert (result.answer, result.confidence) == ("cat", 0.8)
    assert any(f"{model} is down" in reason for reason in result.provenance.reasons)
    assert (result.reward is None) == (model == "reward")
    if model.startswith("embed") and result.reward is not None:
        assert result.reward.curiosity == 0.0


def test_failures_of_operations_are_said(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    dead = READ.model_copy(update={"error": "unavailable: visual_ops is down", "result": {}})
    result = finish(
        ScriptedModels(voice, [""]), prepare(), OUTCOME.model_copy(update={"actions": [dead, BROKEN, ANSWER]})
    )
    assert result.provenance.reasons == ["visual_ops: unavailable: visual_ops is down"]


def test_time_that_ran_out_is_said(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models, told = ScriptedModels(voice, [""]), "deadline_exceeded: The policy did not finish its turn in time."
    cut_off = OUTCOME.model_copy(update={"finish": "timeout", "confidence": 0.0, "error": told})
    result = finish(models, prepare(read_only=False), cut_off)
    assert (result.answer, result.confidence, result.finish) == ("cat", 0.0, "timeout")
    assert result.provenance.reasons == [f"reason: {told}"]
    assert models.inserted == []
    models.neighbours = neighbours("dog", "dog", "dog")
    assert finish(models, prepare(), cut_off).answer == "dog"


def test_read_only_changes_nothing(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    models.neighbours = neighbours("cat")
    finish(models, prepare(reference_answer="cat"))
    assert (models.inserted, models.fed_back) == ([], [])


def test_learning(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    models.neighbours = neighbours("Cat", "dog")
    prepared = prepare(read_only=False, reference_answer="cat")
    result = finish(models, prepared)
    (learned,) = models.inserted
    assert result.provenance.learned == learned.experience_id == prepared.request.request_id
    assert (learned.answer, learned.confidence) == ("cat", 0.8)
    assert result.reward is not None
    assert learned.reward == result.reward.total
    assert learned.learning_rate == pytest.approx(2e-5)
    assert models.fed_back == ["0"]


@pytest.mark.parametrize("change", [{"confidence": 0.69}, {"finish": "max_tokens"}, {"answer": ""}])
def test_what_is_not_learned(voice: Voice, prepare: Callable[..., Prepared], change: dict[str, object]) -> None:
    models = ScriptedModels(voice, [""])
    result = finish(models, prepare(read_only=False), OUTCOME.model_copy(update=change))
    assert (models.inserted, result.provenance.learned) == ([], None)


def test_learning_that_fails_is_said(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    models.down["insert"] = Unavailable("knn is down")
    result = finish(models, prepare(read_only=False))
    assert result.answer == "cat"
    assert result.provenance.reasons == ["learn: unavailable: knn is down"]


def test_a_state_for_every_visual_step_and_one_before(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    actions = [Action(type="REASONING", text="hm"), ZOOM, READ, BROKEN, ANSWER]
    texts = state_texts("what?", actions, voice.profile)
    assert texts[0] == "what?"
    assert texts[1] == "what?\nhm\nZOOM_IN"
    assert texts[2].endswith('READ_TEXT {"text": "AB"}')
    assert "not JSON" in texts[3]
    prepared = prepare()
    pictures = [decode(image) for image in prepared.images]
    assert len(crops_of(pictures, actions)) == 1
    keys = state_keys(ScriptedModels(voice, [""]), voice.profile, pictures, "what?", actions, time.time() + 9)
    assert keys.shape == (4, 1664)
    assert np.allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-5)


def test_the_first_state_is_the_requests_own_key(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models, prepared = ScriptedModels(voice, [""]), prepare()
    (found,) = recall(models, [prepared.request], prepared.retrieval_view[None])
    pictures = [decode(image) for image in prepared.images]
    keys = state_keys(models, voice.profile, pictures, prepared.request.question, [ZOOM], time.time() + 9)
    assert np.array_equal(keys[0], found.key)
    known = state_keys(models, voice.profile, pictures, "What is it?", [ZOOM, READ], time.time() + 9, first=found.key)
    whole = state_keys(models, voice.profile, pictures, "What is it?", [ZOOM, READ], time.time() + 9)
    assert np.allclose(known, whole, atol=1e-6)


@pytest.mark.parametrize("change", [{"confidence": 0.69}, {"finish": "max_tokens"}, {"answer": ""}])
def test_what_is_not_learned_is_noted_for_feedback(
    voice: Voice, prepare: Callable[..., Prepared], change: dict[str, object]
) -> None:
    models = ScriptedModels(voice, [""])
    models.neighbours = neighbours("dog", "dog", "dog", "dog")
    prepared = prepare(read_only=False)
    result = finish(models, prepared, OUTCOME.model_copy(update=change))
    (asked,) = models.asked
    assert (asked.request_id, asked.answer, asked.learn) == (prepared.request.request_id, result.answer, False)
    assert asked.retrieved == ["0", "1", "2", "3"]
    assert asked.experience is not None
    assert asked.experience.trajectory == OUTCOME.actions


def test_a_tenant_teaches_its_own(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    shared, own = neighbours("cat", "cat")
    models.neighbours = [shared, own.model_copy(update={"tenant": "alice"})]
    finish(models, prepare(read_only=False, reference_answer="cat", tenant="alice"))
    assert (models.fed_back, set(models.tenants)) == ([own.experience_id], {"alice"})
    assert [asked.tenant for asked in models.asked] == ["alice"]


def test_what_a_human_decided_is_named_and_not_learned_again(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    (said,) = neighbours("fox")
    models.neighbours = [*neighbours("cat", "cat"), said.model_copy(update={"confirmed": True, "experience_id": "h"})]
    result = finish(models, prepare(read_only=False))
    assert (result.answer, result.provenance.agent_answer) == ("fox", "cat")
    assert (result.provenance.reason, result.provenance.decided_by) == ("confirmed_by_feedback", "h")
    assert (models.inserted, result.provenance.learned) == ([], None)
    assert [asked.answer for asked in models.asked] == ["fox"]


def test_what_a_reference_judged_is_not_judged_again(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    models.neighbours = neighbours("cat")
    finish(models, prepare(read_only=False, reference_answer="cat"))
    assert (models.fed_back, models.asked[0].retrieved) == (["0"], [])
