"""Spans to trees, what a request's time was, and what it would be without some of it."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perf.profile.bottlenecks import bottlenecks
from perf.profile.components import components
from perf.profile.otlp import otlp
from perf.profile.path import critical_path
from perf.profile.replay import replayed
from perf.profile.spans import Span, load
from perf.profile.tree import OUTSIDE, Forest, Node

MS = 1_000_000


def span(name: str, start: float, end: float, **said: Any) -> Span:
    """A span of a model, in milliseconds; `sender` and `request` say whose it is."""
    return Span(
        identity=said.get("identity", name),
        model=said.get("model", name),
        name=name,
        kind=said.get("kind", "execute"),
        start=int(start * MS),
        end=int(end * MS),
        thread=said.get("thread", 1),
        cpu=None if said.get("cpu", end - start) is None else int(said.get("cpu", end - start) * MS),
        queued=int(said.get("queued", 0) * MS),
        senders=said.get("senders", ((said.get("sender", ""), said.get("request", "")),)),
        notes=said.get("notes", {}),
    )


def node(start: float, end: float, *children: Node, component: str = "it", kind: str = "row", **said: Any) -> Node:
    """A node in milliseconds, whose thread had a processor all the time unless `cpu` says less."""
    cpu = said.pop("cpu", end - start)
    return Node(component, kind, int(start * MS), int(end * MS), int(cpu * MS), children=list(children), **said)


PIPELINE = [
    span("prepare", 1, 3, request="r"),
    span("recall", 4, 14, request="r", cpu=1),
    span("knn", 5, 12, sender="recall", kind="call", identity="c", cpu=0),
    span("knn", 7, 11, sender="c", cpu=0.5),
    span("reason", 4, 20, request="r", kind="row", cpu=2),
    span("policy", 5, 19, sender="reason", kind="call", identity="p", cpu=0),
    span("policy", 6, 18, sender="p", kind="turn", cpu=None, notes={"turn": "r#0"}, identity="t"),
    span("step", 7, 12, model="policy", kind="step", notes={"turns": ["r#0"]}, identity="s1"),
    span("step", 12, 17, model="policy", kind="step", notes={"turns": ["r#0", "other"]}, identity="s2"),
    span("step", 12, 17, model="policy", kind="step", notes={"turns": ["other"]}, identity="s3"),
    span("finish", 21, 24, request="r", kind="row"),
]


def test_a_tree_of_all_processes() -> None:
    tree = Forest(PIPELINE).tree("r", 0, 25 * MS)
    assert [child.component for child in tree.children] == ["prepare", "recall", "reason", "finish"]
    (call,) = tree.children[1].children
    assert (call.component, call.children[0].component, call.own) == ("→ knn", "knn", 3 * MS)
    (turn,) = tree.children[2].children[0].children
    assert [step.component for step in turn.children] == ["policy: step", "policy: step"]
    assert turn.own == 2 * MS
    assert tree.own == (1 + 1 + 1 + 1) * MS
    assert tree.children[1].children[0].children[0].stalled == 3.5 * MS
    assert turn.stalled == call.stalled == 0  # of a turn and of a way it is not known
    assert tree.children[2].stalled == 0


def test_a_batch_belongs_to_all_its_requests() -> None:
    both = span("embed", 1, 5, senders=(("a", "1"), ("b", "2")))
    forest = Forest([span("x", 0, 6, identity="a", request="1"), span("y", 0, 7, identity="b", request="2"), both])
    for name, request in (("x", "1"), ("y", "2")):
        (found,) = forest.tree(request, 0, 8 * MS).children
        assert (found.component, found.children[0].component) == (name, "embed")


def test_the_critical_path_covers_the_request_without_a_gap() -> None:
    path = critical_path(Forest(PIPELINE).tree("r", 0, 25 * MS))
    assert path[0].start == 0
    assert path[-1].end == 25 * MS
    assert all(one.end == other.start for one, other in itertools.pairwise(path))
    assert "knn" not in {one.node.component for one in path}  # it ran beside what took longer
    assert sum(one.end - one.start for one in path if one.node.component == "policy: step") == 10 * MS


def test_what_is_beside_something_longer_gives_nothing() -> None:
    tree = Forest(PIPELINE).tree("r", 0, 25 * MS)
    assert replayed(tree, lambda one: 0) == pytest.approx(25 * MS)
    assert replayed(tree, lambda one: one.own if one.component == "knn" else 0) == pytest.approx(25 * MS)
    assert replayed(tree, lambda one: one.own if one.component == "prepare" else 0) == pytest.approx(23 * MS)
    assert replayed(tree, lambda one: one.own if one.component == "policy: step" else 0) == pytest.approx(19 * MS)
    assert replayed(tree, lambda one: one.own) == pytest.approx(0)


def drawn(source: random.Random, start: int, end: int, depth: int) -> Node:
    """A tree of processes that each do one thing after the other, or several beside each other."""
    found = Node(f"n{source.randrange(4)}", "row", start, end, (end - start) // 2)
    moment = start
    while depth and end - moment > 10 and source.random() < 0.7:
        first = source.randint(moment, end - 1)
        last = source.randint(first + 1, end)
        found.children.append(drawn(source, first, last, depth - 1))
        moment = last if source.random() < 0.5 else source.randint(first, last)
    return found


@given(seed=st.integers(0, 10_000))
def test_replays_of_any_tree(seed: int) -> None:
    tree = drawn(random.Random(seed), 0, 100_000, 3)
    assert replayed(tree, lambda one: 0) == pytest.approx(100_000)
    before = 100_000.0
    for share in (0.2, 0.5, 1.0):
        after = replayed(tree, lambda one, share=share: share * one.own if one.component == "n1" else 0)  # type: ignore[misc]
        assert -1e-6 <= after <= before + 1e-6
        before = after
    assert sum(one.end - one.start for one in critical_path(tree)) == 100_000


@pytest.mark.parametrize("where", ["prepare", "recall", "knn", "reason", "policy: step", "finish"])
def test_a_sleep_is_named_and_taken_away(where: str) -> None:
    def tree(sleep: float) -> Node:
        def slept(name: str) -> float:
            return sleep if name == where else 0.0

        moment = 2.0 + slept("prepare")
        prepare = node(0, moment, component="prepare", cpu=2)
        found = node(moment + 1, moment + 5 + slept("knn"), component="knn", cpu=4)
        call = node(moment + 0.5, found.end / MS + 0.5, found, component="→ knn", kind="call", cpu=0)
        recall = node(moment, call.end / MS + slept("recall"), call, component="recall", cpu=0.5)
        step = node(moment + 1, moment + 8 + slept("policy: step"), component="policy: step", cpu=7)
        turn = node(moment + 1, step.end / MS + 1, step, component="policy", kind="turn", cpu=0)
        turn.cpu = None
        reason = node(moment, turn.end / MS + 1 + slept("reason"), turn, component="reason", cpu=2)
        moment = max(recall.end, reason.end) / MS
        finish = node(moment, moment + 3 + slept("finish"), component="finish", cpu=3)
        root = node(0, finish.end / MS + 1, prepare, recall, reason, finish, component=OUTSIDE, kind="request")
        root.cpu = None
        return root

    plain, slow = tree(0.0), tree(30.0)
    first = bottlenecks([slow])[0]
    assert (first["component"], first["kind"]) == (where, "stalled")
    assert first["gain_ms"] == pytest.approx((slow.end - plain.end) / MS, rel=0.01)
    assert first["severity"] == "critical"
    assert first["spans"][0]["saved_ms"] == pytest.approx(30, abs=0.01)


def test_components_add_up() -> None:
    trees = [Forest(PIPELINE).tree("r", 0, 25 * MS)] * 3
    rows = components(trees)
    assert sum(row["critical_ms"] for row in rows) == pytest.approx(25)
    assert next(row for row in rows if row["component"] == "policy: step")["calls"] == 2


def test_lines_that_are_none_are_passed_over(tmp_path: Path) -> None:
    whole = {"id": "a", "parent": "", "model": "knn", "name": "knn", "kind": "row", "start": 1, "end": 2, "thread": 3}
    lines = [json.dumps(whole), "", "{", "[]", json.dumps({"id": "b"}), json.dumps(whole)[:40]]
    (tmp_path / "1.jsonl").write_text("\n".join(lines))
    (found,) = load(tmp_path)
    assert (found.identity, found.senders, found.cpu) == ("a", (("", ""),), None)


def test_spans_for_other_tools_are_whole_traces() -> None:
    tree = Forest(PIPELINE).tree("r", 0, 25 * MS)
    told = otlp([tree, tree])["resourceSpans"]
    names = {one["resource"]["attributes"][0]["value"]["stringValue"] for one in told}
    assert names == {f"pixelis.{name}" for name in ("client", "prepare", "recall", "knn", "reason", "policy", "finish")}
    spans = [span for one in told for span in one["scopeSpans"][0]["spans"]]
    assert len(spans) == 2 * len(list(tree.walk()))
    known = {span["spanId"]: span for span in spans}
    assert len(known) == len(spans)
    assert len({span["traceId"] for span in spans if "parentSpanId" not in span}) == 2
    for span in spans:
        assert len(span["traceId"]) == 32
        if "parentSpanId" in span:
            above = known[span["parentSpanId"]]
            assert above["traceId"] == span["traceId"]
            assert int(above["startTimeUnixNano"]) <= int(span["startTimeUnixNano"]) < int(span["endTimeUnixNano"])
