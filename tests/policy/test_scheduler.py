"""Decoding for many at once: everyone gets what they would get alone, and nobody's fault is another's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelis.errors import InvalidRequest, LimitExceeded, PixelisError, ServingError, SetupError, Unavailable
from pixelis.schema import PolicyEvent
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime
from tests.policy.support import Caller, ask, request


@pytest.fixture
def runtime(policy_artifact: Path) -> Iterator[PolicyRuntime]:
    with PolicyRuntime(policy_artifact, slots=4, threads=1, max_len=512) as runtime:
        yield runtime


def _same(alone: Caller, busy: Caller) -> None:
    """Equal tokens; where one differs, both were equally likely, and nothing after it is compared."""
    n = next((i for i, (a, b) in enumerate(zip(alone.tokens, busy.tokens, strict=False)) if a != b), None)
    if n is None:
        assert alone.tokens == busy.tokens
        assert alone.finish == busy.finish
    upto = len(alone.tokens) if n is None else n + 1
    np.testing.assert_allclose(alone.logprobs[:upto], busy.logprobs[:upto], atol=1e-4)


def test_tokens_are_the_same_alone_and_in_a_busy_batch(runtime: PolicyRuntime) -> None:
    asked = [request(runtime, seed, images=seed % 3, max_tokens=4 + seed) for seed in range(32)]
    alone = [ask(runtime, one).wait() for one in asked]
    busy = []
    for i, one in enumerate(asked):
        busy.append(ask(runtime, one))
        time.sleep(0.004 * (i % 3))
    for one, other in zip(alone, busy, strict=True):
        _same(one, other.wait())
    assert max(runtime.metrics.batch_sizes) > 1  # how many meet in a step is the machine's affair
    assert sum(caller.tokens == other.tokens for caller, other in zip(alone, busy, strict=True)) >= 30


def test_logprobs_are_of_the_unmasked_softmax(runtime: PolicyRuntime) -> None:
    asked = request(runtime, 3, max_tokens=1)
    caller = ask(runtime, asked).wait()
    graph = runtime._scheduler._graph
    from python_backends.policy.request import prepare

    sequence = prepare(asked, caller, graph.config, graph.embeddings, 512)
    logits = graph.prefill(0, [sequence.embeds], [sequence.positions])[0].astype(np.float64)
    wanted = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
    assert caller.tokens == [int(wanted.argmax())]
    assert caller.logprobs == pytest.approx([wanted.max()], abs=1e-5)


def test_streaming_and_not_streaming_say_the_same(runtime: PolicyRuntime) -> None:
    streamed = ask(runtime, request(runtime, 5, max_tokens=9)).wait()
    whole = ask(runtime, request(runtime, 5, max_tokens=9, stream=False)).wait()
    assert len(streamed.events) == len(streamed.tokens)
    assert len(whole.events) == 1
    assert (streamed.tokens, streamed.finish) == (whole.tokens, whole.finish)
    assert streamed.logprobs == pytest.approx(whole.logprobs, abs=1e-4)


def test_it_stops_at_max_tokens_and_at_stop_ids(runtime: PolicyRuntime) -> None:
    free = ask(runtime, request(runtime, 7, max_tokens=10)).wait()
    assert free.finish == "length"
    assert len(free.tokens) == 10
    stop = free.tokens[4]
    stopped = ask(runtime, request(runtime, 7, max_tokens=10, stop_ids=[stop])).wait()
    assert stopped.finish == "stop"
    assert stopped.tokens == free.tokens[: free.tokens.index(stop) + 1]


def test_it_stops_at_the_checkpoints_end_token(policy_artifact: Path) -> None:
    with PolicyRuntime(policy_artifact, slots=2, max_len=512) as runtime:
        asked = request(runtime, 7, max_tokens=3)
        first = ask(runtime, asked).wait().tokens[0]
        object.__setattr__(runtime.config, "end_ids", frozenset({first}))
        caller = ask(runtime, asked).wait()
    assert (caller.tokens, caller.finish) == ([first], "stop")


def test_a_row_is_filled_to_its_end_and_no_further(policy_artifact: Path) -> None:
    with PolicyRuntime(policy_artifact, slots=2, max_len=70) as runtime:
        full = ask(runtime, request(runtime, 1, text=70, images=0, max_tokens=9)).wait()
        part = ask(runtime, request(runtime, 1, text=67, images=0, max_tokens=9)).wait()
        with pytest.raises(LimitExceeded, match="has 71 tokens, the policy reads at most 70"):
            ask(runtime, request(runtime, 1, text=71, images=0))
    assert (len(full.tokens), full.finish) == (1, "length")
    assert (len(part.tokens), part.finish) == (4, "length")


def test_more_requests_than_rows_wait_their_turn(runtime: PolicyRuntime) -> None:
    callers = [ask(runtime, request(runtime, seed)) for seed in range(11)]
    tokens = sum(len(caller.wait().tokens) for caller in callers)
    metrics = runtime.metrics.snapshot()
    assert metrics["admitted"] == sum(metrics["finished"].values()) == 11
    assert metrics["tokens"] == tokens
    assert metrics["queue_wait_max_s"] > 0
    # the first token of each comes out of its prefill
    assert sum(size * count for size, count in metrics["batch_sizes"].items()) == tokens - 11
    assert metrics["active"] == metrics["waiting"] == 0


def _long(runtime: PolicyRuntime, seed: int, **sampling: Any) -> Caller:
    """A request that goes on until it is ended."""
    caller = ask(runtime, request(runtime, seed, text=10, max_tokens=10_000, **sampling))
    assert caller.begun.wait(20)
    return caller


def test_cancel_an_active_and_a_waiting_request(policy_artifact: Path) -> None:
    with PolicyRuntime(policy_artifact, slots=1, max_len=2048) as runtime:
        active = _long(runtime, 1)
        waiting = ask(runtime, request(runtime, 2))
        runtime.cancel("r2")
        assert waiting.wait().finish == "cancelled"
        assert waiting.tokens == []
        runtime.cancel("nobody")
        runtime.cancel("r1")
        assert active.wait().finish == "cancelled"
        assert ask(runtime, request(runtime, 3)).wait().finish == "length"


def test_cancelled_without_streaming_keeps_what_there_is(policy_artifact: Path) -> None:
    with PolicyRuntime(policy_artifact, slots=2, max_len=2048) as runtime:
        mark = _long(runtime, 1)
        silent = ask(runtime, request(runtime, 2, text=10, max_tokens=10_000, stream=False))
        while not runtime.metrics.batch_sizes[2]:
            time.sleep(0.001)
        runtime.cancel("r2")
        assert silent.wait().finish == "cancelled"
        assert len(silent.tokens) > 0
        runtime.cancel("r1")
        mark.wait()


def test_deadlines_end_active_and_waiting_requests(policy_artifact: Path) -> None:
    with PolicyRuntime(policy_artifact, slots=1, max_len=2048) as runtime:
        active = _long(runtime, 1, deadline=time.time() + 0.1)
        waiting = ask(runtime, request(runtime, 2, deadline=time.time() + 0.02))
        late = ask(runtime, request(runtime, 3, deadline=time.time() - 1))
        assert waiting.wait().finish == "deadline"
        assert late.wait().finish == "deadline"
        assert active.wait().finish == "deadline"
        assert len(active.tokens) > 0
        assert ask(runtime, request(runtime, 4, deadline=time.time() + 20)).wait().finish == "length"


def _with(asked: PolicyRequest, **changed: Any) -> PolicyRequest:
    return PolicyRequest(**{**vars(asked), **changed})


def _bad(runtime: PolicyRuntime) -> list[tuple[PolicyRequest, str]]:
    good = request(runtime, 1)
    assert good.visual is not None
    not_finite = good.visual.copy()
    not_finite[3, 5] = np.nan
    return [
        (_with(good, prompt_ids=np.array([], np.int64)), "at least one token"),
        (_with(good, prompt_ids=good.prompt_ids + 10_000), f"the vocabulary has 0 to {runtime.config.vocabulary - 1}"),
        (_with(good, prompt_ids=-good.prompt_ids), "the vocabulary has"),
        (_with(good, visual=None), "36 image tokens and no visual tokens"),
        (_with(good, visual=good.visual[:-1]), r"shape \[35, 192\].*\[36, 192\]"),
        (_with(good, visual=not_finite), "not finite"),
        (_with(good, grids=np.array([1, 12], np.int32)), "2 numbers"),
        (_with(good, grids=np.array([1, 12, 10], np.int32)), "36 image tokens"),
    ]


@pytest.mark.parametrize("case", range(8))
def test_a_bad_request_is_refused_and_says_why(runtime: PolicyRuntime, case: int) -> None:
    asked, message = _bad(runtime)[case]
    with pytest.raises(InvalidRequest, match=message):
        ask(runtime, asked)


def test_an_id_in_use_is_refused(policy_artifact: Path) -> None:
    with PolicyRuntime(policy_artifact, slots=2, max_len=2048) as runtime:
        first = _long(runtime, 1)
        second = ask(runtime, request(runtime, 1)).wait()
        assert isinstance(second.last, InvalidRequest)
        assert "already being answered" in str(second.last)
        runtime.cancel("r1")
        assert first.wait().finish == "cancelled"


def _failing(work: Callable[..., Any], times: int) -> Callable[..., Any]:
    """`work`, which breaks at its first `times` calls."""
    left = [times]

    def broken(*args: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("native code failed at 0x1234")
        return work(*args)

    return broken


@pytest.mark.parametrize("method", ["extend", "decode"])
def test_a_failing_graph_step_fails_its_batch_alone(
    runtime: PolicyRuntime, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = runtime._scheduler._graph
    wanted = ask(runtime, request(runtime, 2)).wait()
    monkeypatch.setattr(graph, method, _failing(getattr(graph, method), times=1))
    failed = ask(runtime, request(runtime, 1)).wait()
    assert isinstance(failed.last, ServingError)
    assert "0x1234" not in str(failed.last)
    again = ask(runtime, request(runtime, 2)).wait()
    assert again.tokens == wanted.tokens
    assert runtime.metrics.finished["error"] == 1


def test_logits_that_are_not_finite_fail_one_request(runtime: PolicyRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = runtime._scheduler._graph
    decode = graph.decode

    def poisoned(tokens: Any, positions: Any, lengths: Any) -> Any:
        logits = decode(tokens, positions, lengths)
        logits[lengths == 10 + 37 + 3] = np.nan  # the one with the short prompt, at its fourth step
        return logits

    others = [ask(runtime, request(runtime, seed, text=30)).wait() for seed in (2, 3)]
    monkeypatch.setattr(graph, "decode", poisoned)
    callers = [ask(runtime, request(runtime, seed, text=10 if seed == 1 else 30)) for seed in (2, 1, 3)]
    assert isinstance(callers[1].wait().last, ServingError)
    assert "not finite" in str(callers[1].last)
    for caller, other in zip((callers[0], callers[2]), others, strict=True):
        assert caller.wait().tokens == other.tokens


def test_a_caller_that_breaks_is_dropped_and_others_go_on(runtime: PolicyRuntime) -> None:
    seen = threading.Event()

    def broken(event: PolicyEvent | PixelisError) -> None:
        seen.set()
        raise ConnectionError("gone")

    wanted = ask(runtime, request(runtime, 2)).wait()
    assert runtime.metrics.active == 0
    runtime.submit(request(runtime, 1, max_tokens=10_000), broken)
    other = ask(runtime, request(runtime, 2)).wait()
    assert seen.wait(20)
    assert other.tokens == wanted.tokens
    assert runtime.metrics.finished["cancelled"] == 1
    assert runtime.metrics.active == 0


def test_close_ends_the_thread_and_tells_who_waits(policy_artifact: Path) -> None:
    runtime = PolicyRuntime(policy_artifact, slots=1, max_len=2048)
    callers = [_long(runtime, 1), ask(runtime, request(runtime, 2))]
    runtime.close()
    assert not runtime._scheduler.thread.is_alive()
    assert all(isinstance(caller.wait().last, Unavailable) for caller in callers)
    with pytest.raises(Unavailable, match="closed"):
        ask(runtime, request(runtime, 3))


def test_an_idle_runtime_takes_no_processor_time(runtime: PolicyRuntime) -> None:
    ask(runtime, request(runtime, 1)).wait()
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.05


def test_a_graph_of_another_kind_is_refused_at_load(policy_artifact: Path, tmp_path: Path) -> None:
    import shutil

    import onnx

    broken = tmp_path / "other"
    shutil.copytree(policy_artifact, broken)
    model = onnx.load(str(broken / "model.onnx"))
    model.graph.input[0].name = "mask"
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name == "attention_mask":
                node.input[i] = "mask"
    onnx.save(model, str(broken / "model.onnx"))
    with pytest.raises(SetupError, match=r"not a decoder's: \['attention_mask', 'mask'\]"):
        PolicyRuntime(broken)
