"""From forms to a published version that a plain build keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.choosing.optimise import OptimiseReport, optimise
from builder.costing.timing import Turns
from builder.measure import Plan
from builder.storing.chosen import Chosen
from tests.builder.conftest import Place
from tests.builder.tiny import linear_spec
from tests.marked import long

pytestmark = pytest.mark.slow
QUICK = Plan(Turns(rounds=1, turn_s=0.01, calls=3))


def run(place: Place, *models: str, **more: object) -> OptimiseReport:
    where = {"repository": place.store.repository, "state": place.store.state, "spec": place.known, "plan": QUICK}
    return optimise(models, **{**where, **more})  # type: ignore[arg-type]


def test_the_winner_is_published_with_what_it_costs(place: Place) -> None:
    report = run(place, "alpha", goal="latency")
    assert report.failed == []
    assert [choice.chosen for choice in report.choices] == ["onnx-fp32"]
    published = place.store.manifest("alpha")
    assert published.cost is not None
    assert published.cost.cases[0].speedup > 0
    assert not place.store.faults("alpha", 2)
    assert place.store.versions("beta") == [1]
    remembered = Chosen(place.store.repository, place.store.state).of("alpha")
    assert remembered is not None
    assert remembered.label == "onnx-fp32"
    assert remembered.why.startswith("latency: ")
    assert report.page is not None
    assert "onnx-fp32" in Path(report.page).read_text()
    assert Path(report.plots[0]).read_bytes().startswith(b"\x89PNG")
    again = place.build()
    assert {o.model: o.state for o in again.models} == {"alpha": "up to date", "beta": "built"}


def test_nothing_is_published_unless_it_is_asked(place: Place) -> None:
    report = run(place, "alpha", goal="size", publish=False)
    assert report.build is None
    assert report.choices[0].chosen == "onnx-fp32"
    assert place.store.versions("alpha") == [1]


def test_a_refused_form_is_never_chosen_and_the_old_version_stays(built: Place) -> None:
    wrong = built.with_model(linear_spec("alpha", built.root / "alpha.npy", "Wrong"))
    report = run(built, "alpha", goal="latency", spec=wrong)
    assert report.failed == ["alpha"]
    assert report.rows[0].state == "refused"
    assert "SCORES" in report.rows[0].reason
    assert built.store.versions("alpha") == [1, 2]
    assert Chosen(built.store.repository, built.store.state).all() == {}


@pytest.mark.parametrize("preset", ["edge", long("development")])
def test_a_preset_sets_the_goal_and_what_is_looked_at(place: Place, preset: str) -> None:
    report = run(place, "alpha", preset=preset, publish=False)
    assert (report.goal, report.max_accuracy_drop) == {"development": ("latency", 0.0), "edge": ("memory", 0.01)}[
        preset
    ]
