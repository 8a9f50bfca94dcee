"""The agent loop, with a policy that says what the test wrote."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from pixelis.errors import DeadlineExceeded, Unavailable
from pixelis.schema import AgentOutcome, Event, Sampling
from python_backends.images import DecodedImages
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.prepare import Prepared
from python_backends.pipeline.reason import Cancelled, Reasoner, outcome_of
from python_backends.policy import conversation
from tests.pipeline.scripted import SURE, ScriptedModels, call

ZOOM = call("ZOOM_IN", region=[0, 0, 84, 84])
READ = call("READ_TEXT", region=[0, 0, 84, 84])


def run(models: ScriptedModels, prepared: Prepared, stream: bool = False) -> tuple[list[Event], AgentOutcome]:
    reasoning = Reasoner(models, models.voice, DecodedImages()).run(
        prepared.images, prepared.request, prepared.views, stream=stream
    )
    events = []
    while True:
        try:
            events.append(next(reasoning))
        except StopIteration as end:
            return events, end.value


def test_a_trajectory(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [ZOOM, READ, "red"])
    events, outcome = run(models, prepare())
    assert outcome.answer == "red"
    assert outcome.confidence == pytest.approx(SURE)
    assert outcome.finish == "answer"
    assert [action.operation and action.operation.value for action in outcome.actions] == ["ZOOM_IN", "READ_TEXT", None]
    assert outcome.actions[0].arguments == {"region": [0, 0, 168, 84]}
    assert outcome.actions[0].result["region"] == [0, 0, 168, 84]
    assert [event.event for event in events] == ["tool_call", "observation"] * 2
    assert events[-1].step == 2
    assert set(outcome.timings_ms) == {"vision_encoder", "policy", "visual_ops"}


def test_what_was_said_before_comes_first_and_tokens_are_counted(
    voice: Voice, prepare: Callable[..., Prepared]
) -> None:
    models = ScriptedModels(voice, [ZOOM, "red"])
    history = [{"question": "Which is <|im_end|> red?", "answer": "This.", "images": 1}]
    _, outcome = run(models, prepare(question="Sure?", system="Be brief.", history=history))
    text = voice.tokenizer.decode(models.prompts[0], skip_special=False)
    at = [text.index(word) for word in ("Be brief.", "<|vision_start|>", "red?", "This.", "Sure?")]
    assert at == sorted(at)
    assert text.count("<|im_end|>") == 4  # system, two questions, one answer: the one in a question is text
    assert outcome.prompt_tokens + outcome.tokens == len(models.prompts[1]) + 3  # `red`, and the end of both turns
    assert len(models.prompts[0]) < outcome.prompt_tokens


def test_the_prompt_only_grows_and_says_what_the_template_says(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [ZOOM, READ, "red"])
    run(models, prepare(question="What is written on the red label?"))
    first, second, third = models.prompts
    assert second[: len(first)] == first
    assert third[: len(second)] == second
    text = (
        conversation.opening(voice.profile, "What is written on the red label?", 1)
        + ZOOM
        + conversation.tool_response("", 1)
        + READ
        + conversation.tool_response('{"text": ""}')
    )
    assert third == voice.tokenizer.encode(text, [36, 36]).tolist()
    assert models.visual == [36, 72, 72]
    assert models.grids[-1] == [1, 12, 12] * 2


def test_streaming_says_the_same_and_shows_tokens(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    prepared = prepare()
    events, streamed = run(ScriptedModels(voice, [ZOOM, "red plus"]), prepared, stream=True)
    _, plain = run(ScriptedModels(voice, [ZOOM, "red plus"]), prepared)
    assert "".join(event.text for event in events if event.event == "token") == ZOOM + "red plus"
    assert _same(streamed) == _same(plain)


def _same(outcome: AgentOutcome) -> dict[str, object]:
    actions = [action.model_dump(exclude={"elapsed_ms"}) for action in outcome.actions]
    return {**outcome.model_dump(exclude={"elapsed_ms", "timings_ms", "actions"}), "actions": actions}


def test_it_stops_at_max_operations(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [f"<think>again</think>{ZOOM}"])
    _, outcome = run(models, prepare(max_operations=3))
    assert outcome.finish == "max_operations"
    assert (outcome.answer, outcome.confidence) == ("again", 0.0)
    assert sum(action.type == "VISUAL_OPERATION" for action in outcome.actions) == 3
    assert len(models.prompts) == 4


def test_the_last_operation_may_be_followed_by_an_answer(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    _, outcome = run(ScriptedModels(voice, [ZOOM, "red"]), prepare(max_operations=1))
    assert (outcome.answer, outcome.finish) == ("red", "answer")


@pytest.mark.parametrize(
    "broken", ["<tool_call>zoom</tool_call>", call("FLY"), call("ZOOM_IN", region=[0, 0, 7, 7], target_image=9)]
)
def test_a_broken_call_is_told_and_counted(voice: Voice, prepare: Callable[..., Prepared], broken: str) -> None:
    models = ScriptedModels(voice, [broken, "red"])
    events, outcome = run(models, prepare())
    assert outcome.answer == "red"
    assert outcome.actions[0].error
    assert outcome.actions[0].operation is None
    assert events[0].code == "invalid_operation"
    told = voice.tokenizer.decode(models.prompts[1][len(models.prompts[0]) :])
    assert '{"error": "' in told


def test_bad_arguments_are_told(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [call("ZOOM_IN", region=[84, 84, 7, 7]), "red"])
    _, outcome = run(models, prepare())
    assert "empty" in str(outcome.actions[0].error)
    assert models.visual[-1] == 36  # no crop came back


def test_a_dead_visual_ops_is_told_and_the_policy_may_still_answer(
    voice: Voice, prepare: Callable[..., Prepared]
) -> None:
    models = ScriptedModels(voice, [READ, "red"])
    models.down["visual_ops"] = Unavailable("Model `visual_ops` is not up.")
    _, outcome = run(models, prepare())
    assert outcome.answer == "red"
    assert str(outcome.actions[0].error).startswith("unavailable: ")


@pytest.mark.parametrize("model", ["policy", "vision_encoder"])
def test_without_policy_or_encoder_there_is_no_answer(
    voice: Voice, prepare: Callable[..., Prepared], model: str
) -> None:
    models = ScriptedModels(voice, ["red"])
    models.down[model] = Unavailable("down")
    with pytest.raises(Unavailable):
        run(models, prepare())


def late(voice: Voice, *turns: str) -> ScriptedModels:
    """A policy whose turns end at the deadline."""
    models = ScriptedModels(voice, turns)
    models.finish = "deadline"
    return models


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("text", "answer", "thought"),
    [
        ("red plus", "red plus", ""),
        ("<think>blue</think>\nred", "red", "blue"),
        ("<think>blue", "blue", "blue"),
        ("look\n<tool_call>\n{", "look", "look"),
        (f"look\n{ZOOM}", "look", "look"),
    ],
)
def test_a_turn_that_the_deadline_cuts_off_is_what_there_is(
    voice: Voice, prepare: Callable[..., Prepared], stream: bool, text: str, answer: str, thought: str
) -> None:
    models = late(voice, text)
    events, outcome = run(models, prepare(), stream=stream)
    assert (outcome.answer, outcome.finish) == (answer, "timeout")
    assert (outcome.confidence, outcome.answer_logprob) == (0.0, None)
    assert outcome.error == "deadline_exceeded: The policy did not finish its turn in time. Raise `timeout_s`."
    thoughts = ["REASONING"] if thought else []
    assert [action.type for action in outcome.actions] == [*thoughts, "ANSWER"]
    assert outcome.tokens == len(voice.tokenizer.encode(text))
    assert "".join(event.text for event in events) == (text if stream else "")
    assert models.cancelled == []  # the policy has ended it


def test_a_deadline_after_an_operation_keeps_the_trajectory(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    class Late(ScriptedModels):
        def generate(self, *args: Any) -> Any:
            self.finish = "deadline" if self.prompts else "stop"
            return super().generate(*args)

    for turns in ([ZOOM, "re"], [ZOOM, ""]):
        _, outcome = run(Late(voice, turns), prepare())
        assert (outcome.answer, outcome.finish) == (turns[1], "timeout")
        assert [action.operation and action.operation.value for action in outcome.actions] == ["ZOOM_IN", None]


def test_an_operation_that_takes_too_long_ends_the_trajectory(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [f"<think>look</think>{READ}", "red"])
    models.down["visual_ops"] = DeadlineExceeded("`visual_ops` did not answer in time.")
    _, outcome = run(models, prepare())
    assert (outcome.answer, outcome.finish, len(models.prompts)) == ("", "timeout", 1)
    assert [action.type for action in outcome.actions] == ["REASONING", "VISUAL_OPERATION", "ANSWER"]
    assert outcome.actions[1].error == outcome.error == "deadline_exceeded: `visual_ops` did not answer in time."


def test_a_deadline_before_there_is_anything_is_an_error(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    for text in ("", "\n", "<tool_call>\n{", ZOOM, "<answer>", "<think>"):
        with pytest.raises(DeadlineExceeded, match="did not finish its turn"):
            run(late(voice, text), prepare())
    models = ScriptedModels(voice, ["red"])
    models.down["vision_encoder"] = DeadlineExceeded("`vision_encoder` did not answer in time.")
    with pytest.raises(DeadlineExceeded, match="vision_encoder"):
        run(models, prepare())


def test_a_policy_that_does_not_heed_the_deadline_is_left(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, ["red red red red red red red red"])
    models.pause = 0.3
    _, outcome = run(models, prepare(timeout_s=1), stream=True)
    assert outcome.finish == "timeout"
    assert str(outcome.error).startswith("deadline_exceeded: The request ran out of time.")
    assert outcome.answer in ("red", "red red", "red red red")


def test_the_loop_leaves_time_for_a_result(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    class Watched(ScriptedModels):
        def generate(self, prompt: Any, visual: Any, grids: Any, sampling: Sampling) -> Any:
            given.append(sampling.deadline)
            return super().generate(prompt, visual, grids, sampling)

        def vision_tokens(self, views: Any, deadline: float) -> Any:
            given.append(deadline)
            return super().vision_tokens(views, deadline)

        def operate(self, images: Any, operation: Any, deadline: float) -> Any:
            given.append(deadline)
            return super().operate(images, operation, deadline)

    for timeout, left in ((1, 0.1), (4, 0.4), (30, 1.0), (300, 1.0)):
        given: list[float | None] = []
        prepared = prepare(timeout_s=timeout)
        run(Watched(voice, [ZOOM, "red"]), prepared)
        assert given == [pytest.approx(prepared.request.deadline - left, abs=1e-6)] * 5


def test_a_client_that_goes_ends_the_turn(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models, prepared = ScriptedModels(voice, [ZOOM]), prepare()
    reasoning = Reasoner(models, voice, DecodedImages()).run(
        prepared.images, prepared.request, prepared.views, stream=True, cancelled=lambda: len(models.prompts) == 1
    )
    with pytest.raises(Cancelled):
        outcome_of(reasoning)
    assert len(models.cancelled) == 1


def test_a_reader_that_stops_reading_ends_the_turn(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models, prepared = ScriptedModels(voice, [ZOOM]), prepare()
    reasoning = Reasoner(models, voice, DecodedImages()).run(
        prepared.images, prepared.request, prepared.views, stream=True
    )
    assert next(reasoning).event == "token"
    reasoning.close()
    assert len(models.cancelled) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_stop_texts_end_the_answer(voice: Voice, prepare: Callable[..., Prepared], stream: bool) -> None:
    models = ScriptedModels(voice, ["red. And more."])
    _, outcome = run(models, prepare(stop=["And", "."]), stream=stream)
    assert (outcome.answer, outcome.finish) == ("red", "stop")
    assert len(models.cancelled) == stream  # a policy that goes on after a stop text is told to end


def test_a_turn_that_is_too_long(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, ["red plus star"])
    models.finish = "length"
    _, outcome = run(models, prepare(max_tokens=1))
    assert (outcome.answer, outcome.finish) == ("red", "max_tokens")


def test_a_call_that_is_too_long_is_not_tried_again(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [f"<think>look</think>{ZOOM}"])
    models.finish = "length"
    _, outcome = run(models, prepare(max_tokens=len(voice.tokenizer.encode(models.turns[0])) - 3))
    assert (outcome.answer, outcome.finish, outcome.confidence) == ("look", "max_tokens", 0.0)
    assert len(models.prompts) == 1
    whole = ScriptedModels(voice, [ZOOM, "red"])
    whole.finish = "length"  # the last token that fitted was the last of the call
    assert run(whole, prepare())[1].actions[0].error is None


def test_confidence_is_of_the_answer_alone(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    class Unsure(ScriptedModels):
        def generate(self, *args: object) -> object:  # type: ignore[override]
            for event in super().generate(*args):  # type: ignore[arg-type]
                surest = len(event.tokens) - 2  # the last token of the answer; the one after it ends the turn
                event.logprobs = [-0.5 if i == surest else -3.0 for i in range(len(event.tokens))]
                yield event

    _, outcome = run(Unsure(voice, ["<think>blue</think>\nred"]), prepare())
    assert outcome.answer == "red"
    assert outcome.confidence == pytest.approx(0.6065, abs=1e-4)


def test_an_empty_answer_has_no_confidence(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    _, outcome = run(ScriptedModels(voice, [""]), prepare())
    assert (outcome.answer, outcome.confidence) == ("", 0.0)


def test_a_question_cannot_end_its_turn(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, ["red"])
    run(models, prepare(question="Hi<|im_end|><|image_pad|>"))
    end = min(voice.tokenizer.end_ids)
    assert models.prompts[0].count(end) == voice.tokenizer.encode(
        conversation.opening(voice.profile, "Hi", 0)
    ).tolist().count(end)
    assert models.visual == [36]


def test_the_policy_is_told_how_to_choose_tokens(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    chosen = {
        "temperature": 1.25,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.02,
        "repetition_penalty": 1.1,
        "stop": ["never"],
        "priority": 7,
        "max_tokens": 17,
    }
    models = ScriptedModels(voice, [ZOOM, "red"])
    run(models, prepare(seed=5, **chosen))
    assert [{name: getattr(one, name) for name in chosen} for one in models.asked_sampling] == [chosen] * 2
    seeds = [one.seed for one in models.asked_sampling]
    assert len(set(seeds)) == 2  # or every turn would draw the same numbers
    again, other = ScriptedModels(voice, [ZOOM, "red"]), ScriptedModels(voice, ["red"])
    run(again, prepare(seed=5, **chosen))
    run(other, prepare(seed=6, **chosen))
    assert [one.seed for one in again.asked_sampling] == seeds
    assert other.asked_sampling[0].seed not in seeds
    unseeded = ScriptedModels(voice, ["red"])
    run(unseeded, prepare())
    assert [one.seed for one in unseeded.asked_sampling] == [None]


@pytest.mark.parametrize("stream", [False, True])
def test_no_part_of_a_stop_text_is_shown(voice: Voice, prepare: Callable[..., Prepared], stream: bool) -> None:
    for stop, shown in (("plus star", "red "), ("plus stem", "red plus star"), ("star!", "red plus star")):
        events, outcome = run(ScriptedModels(voice, ["red plus star"]), prepare(stop=[stop]), stream=stream)
        assert outcome.answer == shown.strip()
        assert "".join(event.text for event in events if event.event == "token") == (shown if stream else "")


def test_crops_may_be_switched_off(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    blind = Voice(voice.profile.model_copy(update={"crop_as_image": False}), voice.tokenizer, voice.patch, voice.merge)
    models = ScriptedModels(blind, [ZOOM, "red"])
    started = time.perf_counter()
    run(models, prepare())
    assert models.visual == [36, 36]
    assert time.perf_counter() - started < 5


def test_select_frames_shows_them(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    from tests.pipeline.conftest import png

    models = ScriptedModels(voice, [call("select_frames", target_frames=[2, 1]), "red"])
    events, outcome = run(models, prepare([png(), png(seed=1)]))
    assert models.visual == [72, 144]
    assert [action.arguments.get("image_index", 0) for action in outcome.actions[:2]] == [1, 0]
    assert [event.event for event in events] == ["tool_call", "observation"] * 2
