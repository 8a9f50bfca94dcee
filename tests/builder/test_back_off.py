"""The batch grows as long as it pays, and no further."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from builder.building.candidates import build_candidates
from builder.costing.back_off import search, search_apart
from builder.costing.timing import Timed, Turns
from pixelis.errors import NotFound, ServingError
from tests.builder.conftest import Place

TURNS = Turns(rounds=3, turn_s=0.02, calls=3)


class Clock:
    """Time that passes when somebody says so, whatever else this machine does."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("builder.costing.timing.time", made)
    return made


def waiting(clock: Clock, fixed_s: float, each_s: float) -> Callable[[int], Timed]:
    """A model that needs `fixed_s` for a call and `each_s` for an item."""
    return lambda size: Timed(lambda: clock.spend(fixed_s + each_s * size))


def test_it_stops_where_nothing_is_gained(clock: Clock) -> None:
    found = search(waiting(clock, 0.0, 0.01), 32, TURNS)
    assert found.recommended == 1
    assert [step.batch for step in found.steps] == [1, 2]
    assert "less than 5 %" in found.why


def test_it_goes_on_to_the_ceiling_where_batching_pays(clock: Clock) -> None:
    found = search(waiting(clock, 0.02, 0.0005), 6, TURNS)
    assert [step.batch for step in found.steps] == [1, 2, 4, 6]
    assert found.recommended == found.ceiling == 6
    assert "ceiling of 6" in found.why
    assert all((step.gain or 1) > 0.05 for step in found.steps)


def test_it_stops_before_what_does_not_fit_into_memory(clock: Clock) -> None:
    def timed(size: int) -> Timed:
        def call() -> None:
            if size > 2:
                raise ServingError("there is no memory left")
            clock.spend(0.01)

        return Timed(call)

    found = search(timed, 16, TURNS)
    assert found.recommended == 2
    assert "4 does not run: there is no memory left" in found.why


def test_what_is_not_batched_needs_no_search(clock: Clock) -> None:
    found = search(waiting(clock, 0.0, 0.01), 1, TURNS)
    assert (found.recommended, found.steps) == (1, [])


def test_a_real_artifact_in_a_process_of_its_own(built: Place) -> None:
    where = {"repository": built.store.repository, "state": built.store.state, "spec": built.known}
    key = build_candidates(["alpha"], **where).rows[0].key  # type: ignore[arg-type]
    log = built.root / "back-off.log"
    found = search_apart(built.known, "alpha", built.store.builds / str(key), TURNS, log)
    assert found.ceiling == 8
    assert found.steps[0].batch == 1
    with pytest.raises(NotFound):
        search_apart(built.known, "alpha", built.root / "nothing", TURNS, log)
