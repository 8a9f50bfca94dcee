"""Real artifacts beside their original: time, memory, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from builder.building.candidates import build_candidates
from builder.costing.cost import Costs
from builder.costing.runner import device_of
from builder.costing.timing import Turns
from builder.costing.workload import batch_sizes, cases
from builder.measure import Plan, measure
from builder.model_spec import ModelSpec, TensorSpec
from pixelis.errors import BuildError
from tests.builder.conftest import Place
from tests.builder.tiny import Linear

QUICK = Plan(Turns(rounds=2, turn_s=0.01, calls=5))


def keys(place: Place, model: str) -> dict[str, str]:
    forms = build_candidates([model], repository=place.store.repository, state=place.store.state, spec=place.known)
    return {row.candidate: row.key for row in forms.rows if row.key}


def test_a_candidate_is_timed_beside_its_original_and_its_memory_read(built: Place) -> None:
    found = measure(built.store, built.known, "alpha", keys(built, "alpha"), QUICK, lambda model, stage: None)
    cost = found.costs["onnx-fp32"]
    assert found.failed == {}
    assert [(case.case, case.batch) for case in cost.cases] == [("batch 1", 1), ("batch 4", 4), ("batch 8", 8)]
    for case in cost.cases:
        assert 0 < case.timing.p50_ms <= case.timing.p99_ms
        assert case.speedup_low <= case.speedup <= case.speedup_high
        assert case.timing.runs == case.reference.runs == 2 * 5
    assert cost.memory is not None
    assert cost.reference_memory is not None
    assert 0 < cost.memory.imported < cost.memory.ran <= cost.memory.peak
    assert cost.size_bytes > 0
    assert cost.build_s > 0
    assert cost.machine_digest


def test_what_this_machine_knows_is_not_measured_again(built: Place) -> None:
    known = keys(built, "alpha")
    stages: list[str] = []
    first = measure(built.store, built.known, "alpha", known, QUICK, lambda model, stage: stages.append(stage))
    assert stages
    stages.clear()
    again = measure(built.store, built.known, "alpha", known, QUICK, lambda model, stage: stages.append(stage))
    assert not stages
    assert again.costs == first.costs
    assert Costs(built.store.state).find(known["onnx-fp32"]) == first.costs["onnx-fp32"]


def test_a_candidate_that_cannot_be_loaded_leaves_the_others_be(built: Place) -> None:
    known = keys(built, "alpha")
    broken = built.store.builds / "broken"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"not a graph")
    both = {**known, "onnx-fp16": "broken"}
    found = measure(built.store, built.known, "alpha", both, QUICK, lambda model, stage: None)
    assert list(found.costs) == ["onnx-fp32"]
    assert "cannot load" in found.failed["onnx-fp16"]


@pytest.mark.parametrize(
    ("graph", "settings", "device"),
    [
        ("model.xml", {"inference_precision": "bf16"}, "cpu"),
        ("model.onnx", {"prepack": False}, "cpu"),
        ("model.onnx", None, "cpu"),
        ("model.ts", {"inputs": [], "outputs": []}, "cpu"),
        ("model.ts", {"inputs": [], "outputs": [], "device": "cuda"}, "cuda"),
    ],
)
def test_where_an_artifact_computes(
    tmp_path: Path, graph: str, settings: dict[str, object] | None, device: str
) -> None:
    (tmp_path / graph).touch()
    if settings is not None:
        (tmp_path / "engine.json").write_text(json.dumps(settings))
    assert device_of("engine", tmp_path) == device


def test_a_crash_of_one_takes_no_other_measurement_down(built: Place) -> None:
    known = keys(built, "alpha")
    measure(built.store, built.known, "alpha", known, QUICK, lambda model, stage: None)
    crashing = built.store.builds / "crashing"
    crashing.mkdir()
    (crashing / "model.ts").write_bytes(b"no archive, and no engine error either")
    spec = built.known["alpha"].model_copy(update={"source": "tests.builder.tiny:Missing"})
    found = measure(
        built.store, built.known.replacing(spec), "alpha", {**known, "x": "crashing"}, QUICK, lambda model, stage: None
    )
    assert list(found.costs) == ["onnx-fp32"]
    assert "tests.builder.tiny:Missing" in found.failed["x"]


def test_a_damaged_record_is_measured_again(tmp_path: Path) -> None:
    costs = Costs(tmp_path)
    costs._directory.mkdir()
    costs._path("k").write_text("{")
    assert costs.find("k") is None


def test_batches_and_buckets() -> None:
    assert batch_sizes(8) == [1, 4, 8]
    assert batch_sizes(6) == [1, 4, 6]
    assert batch_sizes(0) == [1]
    spec = ModelSpec(
        name="lines",
        kind="engine",
        source="tests.builder.tiny:Linear",
        max_batch_size=4,
        inputs=(
            TensorSpec(name="LINE", dtype="UINT8", dims=(3, -1)),
            TensorSpec(name="WIDTH", dtype="INT32", dims=(1,)),
        ),
        outputs=(TensorSpec(name="Y", dtype="FP32", dims=(1,)),),
        buckets={"LINE": (4, 16)},
    )

    class Lines(Linear):
        def samples(self):  # type: ignore[no-untyped-def]
            return [{"LINE": np.zeros((1, 3, 5), np.uint8), "WIDTH": np.ones((1, 1), np.int32)}]

    found = {case.name: case.inputs["LINE"].shape for case in cases(spec, Lines("none.npy"))}
    assert found == {"batch 1": (1, 3, 5), "batch 4": (4, 3, 5), "bucket 4": (1, 3, 4), "bucket 16": (1, 3, 16)}


def test_an_index_has_no_forward_pass(place: Place) -> None:
    spec = place.known["alpha"].model_copy(update={"kind": "knn"})
    with pytest.raises(BuildError, match="no forward pass"):
        cases(spec, spec.open_source())
