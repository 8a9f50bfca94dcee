"""Several candidates at the same time: the same rows in the same order, and an interrupt leaves nothing behind."""

from __future__ import annotations

import threading
import time

import pytest

from builder.building import candidates as room
from builder.building.candidates import build_candidates
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
