"""Spans are written while they are wanted, and make a tree over threads."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from python_backends.deadlines import Job
from python_backends.tracing import NOBODY, Recorder, recorder
from python_backends.tracing.recorder import SILENT
from python_backends.tracing.switch import LOOK_SECONDS, WANTED, Switch


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    """A folder whose switch is on for a minute; spans go there too."""
    (tmp_path / WANTED).write_text(json.dumps({"until": time.time() + 60, "folder": str(tmp_path)}))
    return tmp_path


def written(folder: Path) -> list[dict[str, Any]]:
    file = folder / f"{os.getpid()}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_nothing_is_written_where_nobody_asks(tmp_path: Path) -> None:
    found = Recorder()
    found.open(tmp_path, "knn")
    with found.span("search") as span:
        assert span is SILENT
        span.note(rows=3)
    assert not found.on
    assert found.sent(span) == {}
    assert list(tmp_path.iterdir()) == []


def test_spans_within_are_children(wanted: Path) -> None:
    found = Recorder()
    found.open(wanted, "knn")
    with found.span("knn", "execute", NOBODY, of=[{"span": "x", "request": "r"}]) as outer:
        with found.span("search") as inner:
            inner.note(rows=2)
            time.sleep(0.01)
        sum(range(200_000))
    first, second = written(wanted)
    assert (first["name"], first["parent"], first["rows"]) == ("search", outer.identity, 2)
    assert (second["kind"], second["model"], second["of"]) == ("execute", "knn", [{"span": "x", "request": "r"}])
    assert second["start"] <= first["start"] < first["end"] <= second["end"]
    assert first["end"] - first["start"] >= 10e6 > first["cpu"]  # a sleep takes no processor
    assert 0 < second["cpu"] <= second["end"] - second["start"]
    assert first["thread"] == second["thread"]


def test_a_job_works_within_the_span_that_began_it(wanted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_switch", Switch(wanted))
    with recorder.span("outer") as outer:
        Job(lambda: recorder.begin("inner", "part").end(), "job").result(time.time() + 5)
    inner = written(wanted)[0]
    assert inner["parent"] == outer.identity
    assert recorder.current == NOBODY


def test_a_span_that_another_thread_ends_knows_no_processor(wanted: Path) -> None:
    found = Recorder()
    found.open(wanted, "policy")
    span = found.begin("policy", "turn", "x")
    Job(span.end, "job").result(time.time() + 5)
    assert "cpu" not in written(wanted)[0]


def test_a_span_crosses_as_a_parameter(wanted: Path) -> None:
    found = Recorder()
    found.open(wanted, "recall")
    span = found.begin("knn", "call")
    assert found.sender(json.dumps(found.sent(span))) == span.identity
    for parameters in ("", "{}", "[]", "no json", '{"pixelis_span": 7}'):
        assert found.sender(parameters) == NOBODY


@pytest.mark.parametrize(
    "said", ["", "[]", '{"until": 1}', '{"until": "x", "folder": "y"}', '{"until": 0, "folder": "y"}']
)
def test_a_switch_that_says_nothing_is_off(tmp_path: Path, said: str) -> None:
    (tmp_path / WANTED).write_text(said)
    assert Switch(tmp_path).folder() == ""


def test_a_switch_is_seen_to_be_turned(tmp_path: Path) -> None:
    switch = Switch(tmp_path)
    assert switch.folder() == ""
    (tmp_path / WANTED).write_text(json.dumps({"until": time.time() + 60, "folder": "somewhere"}))
    time.sleep(LOOK_SECONDS + 0.05)
    assert switch.folder() == "somewhere"
    (tmp_path / WANTED).unlink()
    time.sleep(LOOK_SECONDS + 0.05)
    assert switch.folder() == ""


def test_it_runs_out_by_itself(tmp_path: Path) -> None:
    (tmp_path / WANTED).write_text(json.dumps({"until": time.time() + 0.1, "folder": "somewhere"}))
    switch = Switch(tmp_path)
    assert switch.folder() == "somewhere"
    time.sleep(0.15)
    assert switch.folder() == ""


def test_what_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / WANTED).write_text(json.dumps({"until": time.time() + 60, "folder": str(tmp_path / "gone")}))
    found = Recorder()
    found.open(tmp_path, "knn")
    with found.span("search"):
        pass
