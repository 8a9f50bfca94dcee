"""Scenarios as data. What users do is in tests/triton/test_load.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from perf.load.questions import POOL, Questions
from perf.load.run import _percentile, _row
from perf.load.scenario import Scenario, Users, load, names
from pixelis.errors import InvalidRequest


@pytest.mark.parametrize("name", names())
def test_those_that_come_along(name: str) -> None:
    found = load(name)
    assert found.description.endswith((".", "?"))
    assert sum(stage.time for stage in found.stages) == pytest.approx(1.0 if found.stages else 0.0)
    assert found.through_the_gateway == (name == "rest")


def test_stages_follow_one_another() -> None:
    found = load("bursts")
    assert [found.users_at(share, 20) for share in (0.0, 0.19, 0.2, 0.34, 0.36, 0.65, 0.99, 1.0)] == [
        2, 2, 20, 20, 2, 20, 2, None,
    ]  # fmt: skip
    assert Scenario(description="x", users=[Users(name="a", kind="ask")]).users_at(0.0, 20) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("description: [", "is not YAML"),
        ("", "its beginning"),
        ("description: x\nusers: []", "users"),
        ("description: x\nusers: [{name: a, kind: swim}]", r"users\.0\.kind"),
        ("description: x\nusers: [{name: a, kind: ask, weight: 0}]", r"users\.0\.weight"),
        ("description: x\nusers: [{name: a, kind: ask, families: [stars]}]", "names stars"),
        ("description: x\nusers: [{name: a, kind: ask, options: {k: -1}}]", r"users\.0"),
        ("description: x\nusers: [{name: a, kind: ask}]\nmore: 1", "more"),
        ("description: x\nusers: [{name: a, kind: ask}]\nstages: [{users: 2, time: 1}]", r"stages\.0\.users"),
    ],
)
def test_files_that_are_none(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(InvalidRequest, match=why):
        load(str(file))


def test_a_name_that_is_none() -> None:
    with pytest.raises(InvalidRequest, match=r"Known: bursts, .*unique"):
        load("stampede")


def test_some_questions_come_again_and_others_never() -> None:
    users = Users(name="a", kind="ask", families=["colour", "count"], repeated=0.8)
    first, second = (Questions(users, seed) for seed in (1, 1000))
    known = {one.question.scene.seed for one in first._known}
    assert len(first._known) == 2 * POOL
    assert known == {one.question.scene.seed for one in second._known}
    drawn = [[one.next().question.scene.seed for _ in range(200)] for one in (first, second)]
    for seeds in drawn:
        assert sum(seed in known for seed in seeds) == pytest.approx(160, abs=25)
    assert not (set(drawn[0]) & set(drawn[1])) - known


def test_what_locust_counted_as_a_row() -> None:
    counted = {
        "name": "new",
        "method": "ask",
        "num_requests": 4,
        "num_failures": 1,
        "start_time": 10.0,
        "last_request_timestamp": 12.0,
        "response_times": {"100": 2, "300": 1, "200": 1},
    }
    row = _row(counted)
    assert (row["requests"], row["failed"], row["per_s"]) == (4, 1, 2.0)
    assert (row["p50_ms"], row["p90_ms"]) == (100.0, 300.0)
    assert _percentile([], 0.5) == 0.0
