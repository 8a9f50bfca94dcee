"""Several at the same time: the same rows in the same order, and an interrupt leaves nothing behind."""

from __future__ import annotations

import threading
import time

import pytest

from builder.building import candidates as room
from builder.building.build import build
from builder.building.candidates import build_candidates
from builder.storing.chosen import Choice, Chosen
from tests.builder.conftest import Place
from tests.builder.tiny import linear_spec


def test_two_jobs_give_the_rows_of_one_in_the_same_order(place: Place) -> None:
    where = {"repository": place.store.repository, "state": place.store.state, "spec": place.known}
    stages: list[tuple[str, str]] = []
    report = build_candidates(jobs=2, watch=lambda model, stage: stages.append((model, stage)), **where)  # type: ignore[arg-type]
    assert [(row.model, row.state) for row in report.rows if row.state != "excluded"] == [
        ("alpha", "built"),
        ("beta", "built"),
    ]
    again = build_candidates(jobs=2, **where)  # type: ignore[arg-type]
    assert [row.key for row in again.rows] == [row.key for row in report.rows]
    assert {row.state for row in again.rows} <= {"from cache", "excluded"}
    assert place.leftovers() == []
    assert {model for model, _ in stages} == {"alpha", "beta"}


def test_two_models_are_published_at_the_same_time_and_each_choice_is_remembered(place: Place) -> None:
    where = {"repository": place.store.repository, "state": place.store.state, "spec": place.known}
    forms = {name: Choice(label="onnx-fp32", why="asked for") for name in ("alpha", "beta")}
    at_work: list[set[str]] = [set()]

    def watch(model: str, stage: str) -> None:
        at_work.append({*at_work[-1], model} - ({model} if stage == "built" else set()))

    report = build(jobs=2, forms=forms, watch=watch, **where)  # type: ignore[arg-type]
    assert [(row.model, row.state, row.version) for row in report.models] == [
        ("alpha", "built", 2),
        ("beta", "built", 2),
    ]
    assert {"alpha", "beta"} in at_work
    assert set(Chosen(place.store.repository, place.store.state).all()) == set(forms)
    assert place.leftovers() == []
    again = build(jobs=2, **where)  # type: ignore[arg-type]
    assert [row.state for row in again.models] == ["up to date", "up to date"]


def test_an_interrupt_ends_what_is_at_work_and_starts_no_more(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = place.known.replacing(linear_spec("alpha", place.root / "alpha.npy", "HalfWritten"))
    marker = place.root / "alpha.exporting"
    real = room._one

    def one(*arguments: object) -> object:
        if arguments[2].name == "beta":  # type: ignore[attr-defined]
            while not marker.exists():
                time.sleep(0.05)
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "_one", one)
    started, threads = time.monotonic(), threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        build_candidates(jobs=2, repository=place.store.repository, state=place.store.state, spec=slow)
    assert time.monotonic() - started < 50, "the build at work takes a minute when nobody ends it"
    assert place.leftovers() == []
    assert threading.active_count() <= threads
