"""More than the policy can do at once: who is refused hears when to come again, who is admitted gets to the end."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pixelis.errors import SetupError, Unavailable
from python_backends.policy.runtime import PolicyRuntime
from tests.policy.support import Caller, ask, request


def test_a_thousand_clients_at_once(policy_artifact: Path) -> None:
    admitted: list[Caller] = []
    refused: list[Unavailable] = []
    with PolicyRuntime(policy_artifact, slots=8, max_len=256, max_waiting=40) as runtime:
        asked = [request(runtime, seed, text=12, images=0, max_tokens=4) for seed in range(1000)]
        start = threading.Barrier(20)

        def client(part: int) -> None:
            start.wait()
            for one in asked[part::20]:
                try:
                    admitted.append(ask(runtime, one))
                except Unavailable as error:
                    refused.append(error)

        threads = [threading.Thread(target=client, args=(part,)) for part in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for caller in admitted:
            assert caller.wait().finish in ("length", "stop")
        assert len(admitted) + len(refused) == 1000
        assert refused, "the queue was never full"
        assert runtime.metrics.refused == len(refused)
        assert all(error.retry_after_s and error.retry_after_s > 0 for error in refused)
        assert "Try again in" in str(refused[0])
        assert ask(runtime, request(runtime, 5000, max_tokens=3)).wait().finish == "length"


def test_urgent_requests_have_a_queue_of_their_own_length(policy_artifact: Path) -> None:
    with PolicyRuntime(policy_artifact, slots=1, max_len=2048, max_waiting=3) as runtime:
        running = ask(runtime, request(runtime, 0, text=10, max_tokens=10_000))
        assert running.begun.wait(20)
        waiting = [ask(runtime, request(runtime, seed)) for seed in (1, 2, 3)]
        while runtime.metrics.waiting < 3:
            time.sleep(0.001)
        with pytest.raises(Unavailable):
            ask(runtime, request(runtime, 4))
        urgent = ask(runtime, request(runtime, 5, priority=7)).wait()
        assert urgent.finish == "length"
        assert not any(caller.done.is_set() for caller in waiting)
        assert runtime.metrics.preemptions == 1
        runtime.cancel("r0")
        for caller in (running, *waiting):
            caller.wait()


@pytest.mark.parametrize("share", [False, True])
def test_beside_an_urgent_request_others_have_what_they_are_granted(policy_artifact: Path, share: bool) -> None:
    with PolicyRuntime(policy_artifact, slots=4, max_len=2048, speculation=False) as runtime:
        ordinary = [ask(runtime, request(runtime, seed, text=10, max_tokens=10_000)) for seed in (1, 2)]
        for caller in ordinary:
            assert caller.begun.wait(20)
        runtime._scheduler._pacing.spend = lambda seconds: share  # type: ignore[method-assign]
        urgent = request(runtime, 3, text=10, max_tokens=60, priority=9)
        caller = ask(runtime, urgent)
        assert caller.begun.wait(20)
        before = [len(other.tokens) for other in ordinary]
        assert caller.wait().finish == "length"
        beside = [len(other.tokens) - count for other, count in zip(ordinary, before, strict=True)]
        # some steps pass before this thread gets to count
        assert all(count >= 50 if share else count <= 30 for count in beside)
        for seed in (1, 2):
            runtime.cancel(f"r{seed}")


def test_while_an_urgent_prompt_is_read_others_wait(policy_artifact: Path) -> None:
    with PolicyRuntime(policy_artifact, slots=4, max_len=2048, speculation=False) as runtime:
        ordinary = [ask(runtime, request(runtime, seed, text=10, max_tokens=10_000)) for seed in (1, 2)]
        for caller in ordinary:
            assert caller.begun.wait(20)
        pacing = runtime._scheduler._pacing
        pacing.spend = lambda seconds: False  # type: ignore[method-assign]
        pacing.chunk = lambda decoding: 16  # type: ignore[method-assign]
        asked = request(runtime, 3, text=1600, max_tokens=1, priority=9)  # a hundred chunks
        before = [len(other.tokens) for other in ordinary]
        assert ask(runtime, asked).wait().finish == "length"
        beside = [len(other.tokens) - count for other, count in zip(ordinary, before, strict=True)]
        assert all(count < 50 for count in beside), beside  # until it arrives, and after its end
        for seed in (1, 2):
            runtime.cancel(f"r{seed}")


def test_ordinary_requests_get_on_while_urgent_ones_keep_coming(policy_artifact: Path) -> None:
    with PolicyRuntime(policy_artifact, slots=2, max_len=256) as runtime:
        urgent = [ask(runtime, request(runtime, seed, max_tokens=30, priority=8)) for seed in range(60)]
        ordinary = ask(runtime, request(runtime, 900, max_tokens=6))
        for caller in (ordinary, *urgent):
            caller.wait()
        assert sum(caller.ended > ordinary.ended for caller in urgent) >= 1


def test_a_cache_that_holds_not_one_sequence_is_refused(policy_artifact: Path) -> None:
    with pytest.raises(SetupError, match=r"One sequence of 2048 tokens takes \d+ MiB"):
        PolicyRuntime(policy_artifact, cache_bytes=100_000)


def test_slots_fit_into_the_cache(policy_artifact: Path) -> None:
    with PolicyRuntime(policy_artifact, max_len=512, slots=16) as runtime:
        row = runtime.row_bytes
    with PolicyRuntime(policy_artifact, max_len=512, slots=16, cache_bytes=3 * row + 1) as runtime:
        assert runtime.limits.slots == 3


def test_a_stated_latency_limits_the_rows(policy_artifact: Path) -> None:
    with PolicyRuntime(policy_artifact, slots=8, max_len=512, inter_token_ms=1e-3, speculation=False) as runtime:
        callers = [ask(runtime, request(runtime, seed, max_tokens=20)) for seed in range(24)]
        for caller in callers:
            assert caller.wait().finish == "length"
        # No step is that quick, so they come down to one row.
        assert runtime._scheduler._pacing.rows == 1
