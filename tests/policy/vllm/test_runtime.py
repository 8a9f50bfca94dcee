"""Turns that vLLM writes, as the policy's contract has them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pixelis.errors import InvalidRequest, LimitExceeded, PixelisError, ServingError, Unavailable
from pixelis.settings import Vllm
from python_backends.policy.vllm.runtime import VllmRuntime
from python_backends.rows import text
from tests.policy.vllm.support import END, Heard, Script, artifact, message, request, words

Start = Callable[..., VllmRuntime]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[VllmRuntime] = []

    def begin(carrier: Script, in_flight: int = 4, **arguments: object) -> VllmRuntime:
        made.append(VllmRuntime(artifact(tmp_path, **arguments), carrier, Vllm(in_flight=in_flight)))
        return made[-1]

    yield begin
    for runtime in made:
        runtime.close(1.0)


def test_every_token_is_an_event_and_the_end_says_why(start: Start) -> None:
    red = words("red")
    script, heard = Script(message(red), message([END], "stop")), Heard()
    start(script).submit(request(), heard)
    first, last = heard.all()
    assert (first.tokens, first.logprobs, first.finish) == (red, [-0.25], None)
    assert (last.tokens, last.finish, last.stop) == ([END], "stop", None)
    assert script.closed == 1


def test_without_a_stream_there_is_one_event(start: Start) -> None:
    heard = Heard()
    start(Script(message(words("red")), message([END], "stop"))).submit(request(stream=False), heard)
    (only,) = heard.all()
    assert only.tokens == [*words("red"), END]


def test_what_comes_behind_the_end_is_nobodys(start: Start) -> None:
    heard = Heard()
    start(Script(message([*words("red"), END, *words("blue")], "stop"))).submit(request(stream=False), heard)
    assert heard.all()[-1].tokens == [*words("red"), END]


def test_the_checkpoints_own_end_is_left_out_for_a_bench(start: Start) -> None:
    script, heard = Script(message([END, END, END], "length")), Heard()
    start(script).submit(request(ignore_end=True, max_tokens=3, stream=False), heard)
    assert heard.all()[-1].finish == "length"
    said = json.loads(script.asked[0].parameters)
    assert (said["ignore_eos"], said["stop_token_ids"], said["max_tokens"]) == (True, [], 3)


def test_a_stop_text_is_found_between_tokens_and_what_may_be_one_is_held_back(start: Start) -> None:
    script, heard = Script(), Heard()
    start(script).submit(request(stop=["ed"]), heard)
    letters = [words(letter) for letter in "be"]
    script.put(message(letters[0]))
    assert heard.next().tokens == letters[0]  # type: ignore[union-attr]
    script.put(message(letters[1]))
    script.put(message(words("d"), "stop"))
    (last,) = heard.all()
    assert (last.stop, last.text_length, last.tokens) == ("ed", 1, [*letters[1], *words("d")])


def test_a_cancel_ends_it_at_once_with_what_there_is(start: Start) -> None:
    script, heard = Script(message(words("red"))), Heard()
    runtime = start(script)
    runtime.submit(request(), heard)
    assert heard.next().tokens == words("red")  # type: ignore[union-attr]
    asked = time.monotonic()
    runtime.cancel("nobody's")
    runtime.cancel("one")
    assert heard.all()[-1].finish == "cancelled"
    assert time.monotonic() - asked < 0.2
    assert script.closed == 1


def test_the_deadline_ends_it_with_what_there_is(start: Start) -> None:
    script, heard = Script(message(words("red"))), Heard()
    start(script).submit(request(stream=False, deadline=time.time() + 0.4), heard)
    (last,) = heard.all()
    assert (last.tokens, last.finish) == (words("red"), "deadline")


def test_a_prompt_whose_time_is_over_is_not_sent(start: Start) -> None:
    script, heard = Script(), Heard()
    start(script).submit(request(deadline=time.time() - 1), heard)
    assert heard.all()[-1].finish == "deadline"
    assert not script.asked


@pytest.mark.parametrize(
    ("answer", "kind", "words_of_it"),
    [
        (message([], "abort"), Unavailable, "by itself"),
        (Unavailable("policy_vllm does not answer."), Unavailable, "does not answer"),
        ({"text_output": message([])["text_output"]}, ServingError, "no list of tokens"),
        ({**message([5]), "finish_reason": text(b"\xff")}, ServingError, "no list of tokens"),
        ({**message([5]), "logprobs": text("[" * 20_000)}, ServingError, "no list of tokens"),
        ({**message([5]), "logprobs": text(f'[{{"5": {{"logprob": {10**400}}}}}]')}, ServingError, "no list of tokens"),
        (message([-1]), ServingError, "no list of tokens"),
    ],
)
def test_what_goes_wrong_is_the_last_event(start: Start, answer: object, kind: type, words_of_it: str) -> None:
    heard = Heard()
    start(Script(answer)).submit(request(), heard)  # type: ignore[arg-type]
    with pytest.raises(kind, match=words_of_it):
        heard.all()


def test_a_prompt_that_does_not_fit_is_not_sent(start: Start) -> None:
    script, heard = Script(), Heard()
    start(script, max_model_len=60).submit(request(3), heard)
    with pytest.raises(LimitExceeded, match="at most 59"):
        heard.all()
    assert not script.asked


def test_pictures_that_did_not_come_are_missed(start: Start) -> None:
    script, heard, asked = Script(), Heard(), request(1)
    start(script).submit(replace(asked, visual=None), heard)
    with pytest.raises(InvalidRequest, match="VISUAL has shape"):
        heard.all()
    assert not script.asked


def test_as_many_as_may_be_and_one_more(start: Start) -> None:
    runtime = start(Script(), in_flight=1)
    runtime.submit(request(request_id="first"), Heard())
    with pytest.raises(Unavailable, match="as many as may be") as refused:
        runtime.submit(request(request_id="second"), Heard())
    assert refused.value.retry_after_s
    assert runtime.metrics.refused == 1


def test_closing_tells_everybody(start: Start) -> None:
    script, heard = Script(), Heard()
    runtime = start(script)
    runtime.submit(request(), heard)
    runtime.close(2.0)
    with pytest.raises(Unavailable, match="shutting down"):
        heard.all()
    with pytest.raises(Unavailable, match="closed"):
        runtime.submit(request(), heard)
    assert script.ended


def test_the_grammar_goes_along_as_often_as_it_is_asked_for(start: Start) -> None:
    script = Script(message([END], "stop"), message([END], "stop"))
    runtime = start(script)
    for name, grammar in (("a", True), ("b", False)):
        heard = Heard()
        runtime.submit(request(request_id=name, grammar=grammar), heard)
        heard.all()
    guided, free = (json.loads(asked.parameters) for asked in script.asked)
    tag = json.loads(json.loads(guided["structured_outputs"])["structural_tag"])
    assert tag["format"]["triggers"] == ["<tool_call>"]
    assert "structured_outputs" not in free


def test_a_checkpoint_without_a_grammar_says_so(start: Start, tmp_path: Path) -> None:
    start(Script())
    profile = tmp_path / "pixelis.json"
    profile.write_text(json.dumps({**json.loads(profile.read_text()), "grammar": False}))
    plain = VllmRuntime(tmp_path, Script(), Vllm())
    with pytest.raises(InvalidRequest, match="without a grammar"):
        plain.submit(request(grammar=True), Heard())


def test_what_is_counted(start: Start) -> None:
    runtime = start(Script(message(words("red")), message([END], "stop")))
    heard = Heard()
    runtime.submit(request(), heard)
    heard.all()
    deadline = time.monotonic() + 2
    while not runtime.metrics.finished and time.monotonic() < deadline:
        time.sleep(0.01)
    counted = runtime.metrics.snapshot()
    assert (counted["tokens"], counted["finished"], counted["active"]) == (2, {"stop": 1}, 0)
    assert counted["prefill_tokens"] == request().prompt_ids.size
    assert counted["recut"] == 0
    (turn,) = runtime.metrics.turns
    assert turn.first_s is not None


def test_an_error_of_ours_is_no_silence(start: Start) -> None:
    class Broken(Script):
        def begin(self, asked: object, deadline: float) -> Script:
            raise RuntimeError("secret")

    heard = Heard()
    start(Broken()).submit(request(), heard)
    event = heard.next()
    assert isinstance(event, PixelisError)
    assert "secret" not in str(event)
