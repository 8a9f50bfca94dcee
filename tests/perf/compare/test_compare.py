"""Two sides, asked; what follows. Servers are real in tests/triton/test_compare.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from perf.compare import verdict
from perf.compare.jury import Jury, elected
from perf.compare.pairs import Traffic, pairs
from perf.compare.run import Plan, compare
from perf.e2e.questions import Asked, Supply
from perf.sides import side
from pixelis.errors import InvalidRequest, ServingError, Unavailable
from pixelis.schema import PipelineResult


@dataclass
class Side:
    """Answers after `ms`, in words that `says` chooses."""

    ms: float = 2.0
    says: Callable[[Asked], str] = lambda asked: asked.question.answer
    seen: list[tuple[float, Asked]] = field(default_factory=list)

    def ask(self, asked: Asked) -> PipelineResult:
        self.seen.append((time.perf_counter(), asked))
        time.sleep(self.ms / 1e3)
        return PipelineResult.model_construct(answer=self.says(asked))


def fails(asked: Asked) -> str:
    raise Unavailable("Too much to do.", mend="Try again.")


def supply() -> Supply:
    return Supply(["colour"])


def plan(count: int = 20, **changes: Any) -> Plan:
    fields: dict[str, Any] = {"pairs": count, "at_once": 1, "traffic": "interleaved", "alpha": 0.02, "families": None}
    return Plan(side("A", "here", []), side("B", "here", []), **{**fields, **changes}, command="")


def test_both_are_asked_the_same_and_each_begins_as_often() -> None:
    a, b = Side(), Side()
    coming = pairs(a, b, supply(), 2, "interleaved")
    found = [next(coming) for _ in range(12)]
    assert [one for _, one in a.seen] == [one for _, one in b.seen]
    assert len({id(one) for _, one in a.seen}) == 24
    first = [
        max(x for x, _ in a.seen[2 * i : 2 * i + 2]) < min(x for x, _ in b.seen[2 * i : 2 * i + 2]) for i in range(12)
    ]
    assert all(one != other for one, other in zip(first[::2], first[1::2], strict=True))
    assert len(set(first[::2])) == 2  # which of two is drawn
    assert all(x.asked is y.asked for pair in found for x, y in pair.members)


def test_mirrored_traffic_is_asked_at_the_same_time() -> None:
    a, b = Side(50), Side(50)
    coming = pairs(a, b, supply(), 1, "mirrored")
    next(coming)
    assert abs(a.seen[0][0] - b.seen[0][0]) < 0.04


@pytest.mark.parametrize("traffic", ["interleaved", "mirrored"])
def test_one_that_is_slower_is_worse_and_asked_no_longer_than_needed(traffic: Traffic) -> None:
    found = compare(Side(), Side(8), supply(), plan(100, traffic=traffic))
    judged = verdict.judged(found.latency, found.seen)
    assert verdict.verdict(judged) == "worse"
    assert found.latency.stopped_early
    assert [one.word for one in judged] == ["worse", "no difference shown", "no difference shown"]


def test_one_that_is_wrong_is_worse_however_fast() -> None:
    found = compare(Side(8), Side(1, lambda asked: "no"), supply(), plan(100))
    judged = verdict.judged(found.latency, found.seen)
    assert [one.word for one in judged] == ["better", "no difference shown", "worse"]
    assert verdict.verdict(judged) == "worse"
    assert verdict.alike(found.seen) == 0.0
    a, b = verdict.sides(found.seen, [[], []], [0.0, 0.0])
    assert (a["right"], b["right"]) == (a["asked"], 0)
    assert a["p50_ms"] > b["p50_ms"]


def test_one_that_sometimes_fails_is_worse_and_its_times_do_not_count() -> None:
    numbers = iter(range(10_000))

    def sometimes(asked: Asked) -> str:
        return fails(asked) if next(numbers) % 4 == 3 else asked.question.answer

    found = compare(Side(), Side(2, sometimes), supply(), plan(60, at_once=2))
    answered = verdict.judged(found.latency, found.seen)[1]
    assert (answered.respect, answered.word) == ("answered", "worse")
    assert len(found.seen) > found.latency.pairs


def test_one_that_does_not_answer_ends_it_with_its_reason() -> None:
    with pytest.raises(ServingError, match=r"B answers nothing: unavailable: Too much to do"):
        compare(Side(), Side(1, fails), supply(), plan())


@pytest.mark.parametrize(
    ("place", "said", "why"),
    [
        ("nowhere", [], "no repository"),
        ("127.0.0.1:8001", ["threads.total=1"], "runs at"),
        ("here", ["threads.total"], "no setting"),
        ("here", ["=1"], "no setting"),
        ("here", ["threads.=1"], "no setting"),
        ("here", ["thread.total=1"], "no setting thread"),
        ("here", ["threads.sum=1"], "no setting threads.sum"),
        ("here", ["threads.total=0"], "threads.total of B is wrong"),
        ("here", ["threads=1", "threads.total=1"], "said twice"),
    ],
)
def test_sides_that_are_none(place: str, said: list[str], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        side("B", place, said)


def test_sides(tmp_path: Path) -> None:
    (tmp_path / "pixelis").mkdir()
    made = side("B", str(tmp_path), ["threads.total=1", 'server.host="127.0.0.1"', "server.http_port=1"])
    assert made.changes == {"threads": {"total": 1}, "server": {"host": "127.0.0.1", "http_port": 1}}
    assert made.address is None
    assert side("A", "[::1]:8001", []).address == "[::1]:8001"


def said(answer: str, confidence: float) -> PipelineResult:
    return PipelineResult.model_construct(answer=answer, confidence=confidence)


def test_a_jury_takes_the_answer_that_it_is_surest_of_together() -> None:
    assert elected([said("red", 0.5), said("Blue", 0.4), said("blue ", 0.3)]).answer == "Blue"
    assert elected([said("red", 0.7), said("blue", 0.6)]).answer == "red"


def test_a_jury_asks_every_checkpoint_and_does_without_those_that_fail() -> None:
    seen = []

    @dataclass
    class Server:
        def ask(self, asked: Asked) -> PipelineResult:
            seen.append(asked.options.model)
            if asked.options.model == "other":
                raise Unavailable("It is gone.", mend="Wait.")
            return said("red", 0.5)

    asked = supply()(1)[0]
    assert Jury(Server(), ("default", "other")).ask(asked).answer == "red"
    assert sorted(map(str, seen)) == ["None", "other"]
    with pytest.raises(Unavailable):
        Jury(Server(), ("other",)).ask(asked)
