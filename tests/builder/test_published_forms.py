"""A form that is not ONNX, published for the embedded server: the engine that its file names runs it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from builder.building.build import BuildReport, build
from builder.candidate import Candidate
from builder.lint import lint
from builder.storing.chosen import Choice
from builder.storing.rollback import rollback
from python_backends.engine import load_engine
from tests.builder.conftest import Place
from tests.builder.tiny import WIDTH, Linear

FORM = Candidate(format="openvino")


@pytest.fixture
def both(built: Place) -> Place:
    """alpha in two forms; published as ONNX."""
    pytest.importorskip("openvino")
    known = built.with_model(built.known["alpha"].model_copy(update={"candidates": (FORM,)}))
    return Place(built.root, known)


def publish(place: Place, **options: object) -> BuildReport:
    where = {"repository": place.store.repository, "state": place.store.state, "spec": place.known}
    return build(["alpha"], **{**where, **options})  # type: ignore[arg-type]


@pytest.mark.slow
def test_an_openvino_artifact_takes_the_place_of_the_onnx_one(both: Place) -> None:
    chosen = {"alpha": Choice(label=FORM.label, why="a test")}
    (outcome,) = publish(both, forms=chosen).models
    assert (outcome.state, outcome.version, outcome.candidate) == ("built", 3, "openvino-fp32")
    folder = both.store.folder("alpha", 3)
    assert (folder / "model.xml").is_file()
    assert (folder / "model.py").is_file()
    assert not both.store.faults("alpha", 3)
    sample = {"X": np.random.default_rng(3).normal(size=(5, WIDTH)).astype(np.float32)}
    with load_engine(folder, 1) as engine:
        answer = engine.run(sample)
    wanted = Linear(both.known["alpha"].arguments["weights"]).reference(sample)
    np.testing.assert_allclose(answer["SCORES"], wanted["SCORES"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(answer["CHOICE"], wanted["CHOICE"])

    assert lint(both.store.repository, both.known) == []
    assert publish(both).models[0].state == "up to date", "a plain build keeps the form"
    assert "platform" not in (both.store.repository / "alpha" / "config.pbtxt").read_text()

    done = rollback("alpha", repository=both.store.repository, state=both.store.state, spec=both.known)
    assert (done.version, done.label) == (4, "onnx-fp32")
    (outcome,) = publish(both, forms=chosen).models
    assert (outcome.state, outcome.version) == ("from cache", 5)
    assert "no longer held" in (outcome.reason or "")


@pytest.mark.slow
def test_a_repository_for_a_full_image_follows_the_form(both: Place) -> None:
    elsewhere = both.root / "ngc"
    for label, backend, files in (
        ("openvino-fp32", "openvino", {"model.bin", "model.xml"}),
        ("onnx-fp32", "onnxruntime", {"model.onnx"}),
    ):
        choice = {"alpha": Choice(label=label, why="a test")}
        report = publish(both, forms=choice, repository=elsewhere, target="ngc")
        assert not report.failed
        assert f'backend: "{backend}"' in (elsewhere / "alpha" / "config.pbtxt").read_text()
        folder = elsewhere / "alpha" / str(report.models[0].version)
        assert files <= {path.name for path in folder.iterdir()}
        assert not (folder / "model.py").exists()
        assert json.loads((folder / "manifest.json").read_text())["gate"]["passed"]
    where = {"repository": elsewhere, "state": both.store.state, "spec": both.known}
    done = rollback("alpha", target="ngc", **where)  # type: ignore[arg-type]
    assert done.label == "openvino-fp32"
    assert 'backend: "openvino"' in (elsewhere / "alpha" / "config.pbtxt").read_text()
    found = [finding for finding in lint(elsewhere, both.known, "ngc") if finding.model == "alpha"]
    assert found == []


def test_a_format_that_the_target_cannot_run_is_refused_before_anything_is_built(
    built: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.building.run.ENGINES", {"model.onnx": ("onnxruntime_engine", "OnnxRuntimeEngine")})
    place = Place(built.root, built.with_model(built.known["alpha"].model_copy(update={"candidates": (FORM,)})))
    (failed,) = publish(place, forms={"alpha": Choice(label=FORM.label, why="a test")}).failed
    assert "alpha as openvino-fp32 runs nowhere on the target embedded" in (failed.reason or "")
    assert "Python runs model.onnx there" in (failed.reason or "")
    assert built.store.versions("alpha") == [1, 2]
    assert publish(place).models[0].state == "up to date"
