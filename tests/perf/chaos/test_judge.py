"""What counts as expected of a fault: each thing that is otherwise is told."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest

from perf.chaos.crowd import Outcome
from perf.chaos.fault import Fault
from perf.chaos.faults import EVERY, chosen
from perf.chaos.judge import Right, Seen, told
from pixelis.errors import InvalidRequest
from pixelis.schema import PipelineResult, Provenance

FAULT = Fault("something", "nothing", lambda _: nullcontext(lambda: True), 5.0)


def answer(text: str = "four", *reasons: str) -> PipelineResult:
    provenance = Provenance(agent_answer=text, agent_confidence=0.9, neighbours=[], reasons=list(reasons))
    return PipelineResult(
        request_id="a", answer=text, confidence=0.9, trajectory=[], reward=None, provenance=provenance,
        timings_ms={}, versions={}, from_cache=False,
    )  # fmt: skip


RIGHT: Right = {0: told(answer())}


def outcome(**changes: object) -> Outcome:
    return replace(Outcome(0, "plain", 0.0, 0.2, answer()), **changes)  # type: ignore[arg-type]


def seen(*more: Outcome, **changes: object) -> Seen:
    return replace(Seen(FAULT, [outcome() for _ in range(99)] + list(more), 1.0, [], 0), **changes)  # type: ignore[arg-type]


def test_all_well() -> None:
    assert seen(outcome()).broken(RIGHT) == []
    assert seen(outcome(result=None, error="unavailable: away")).broken(RIGHT) == [], "one of a hundred may fail"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (seen(recovery_s=5.1), "not well within 5 s"),
        (seen(recovery_s=None), "not well within 5 s"),
        (seen(*[outcome(result=None, error="unavailable: away")] * 2), "2 of 101 plain requests failed"),
        (seen(outcome(way="retrying", result=None, error="unavailable: away")), "1 of 1 retrying requests failed"),
        (seen(*[outcome(result=None, error="ConnectionError")] * 2), "2 failed without a reason"),
        (seen(outcome(result=answer("five"))), "1 answers are wrong"),
        (seen(outcome(seconds=11.0)), "1 requests took longer"),
        (seen(lost=["b at 127.0.0.1:8001: not_found"]), "1 acknowledged experiences are lost"),
    ],
)
def test_whatever_is_otherwise_is_told(found: Seen, why: str) -> None:
    assert any(line.startswith(why) for line in found.broken(RIGHT)), found.broken(RIGHT)
    assert found.row(RIGHT)["held"] is False


def test_an_answer_that_says_what_it_was_done_without_may_be_another_one() -> None:
    found = seen(outcome(result=answer("five", "recall: unavailable: knn is down")))
    assert found.broken(RIGHT) == []
    assert found.row(RIGHT)["done_without"] == 1


def test_a_stream_that_is_cut_off_is_counted_and_allowed() -> None:
    found = seen(outcome(way="streamed", result=None, error="ChunkedEncodingError"))
    assert found.broken(RIGHT) == []
    assert found.row(RIGHT)["failed_streams"] == "1/1"


def test_faults_are_chosen_by_words_of_their_names() -> None:
    assert chosen("") == EVERY
    assert {fault.name for fault in chosen("nginx")} == {"nginx killed", "nginx stands still"}
    with pytest.raises(InvalidRequest, match="policy's process killed"):
        chosen("flood")


def test_every_fault_has_a_name_of_its_own_and_says_what_people_see() -> None:
    assert len({fault.name for fault in EVERY}) == len(EVERY)
    assert all(fault.expected for fault in EVERY)
