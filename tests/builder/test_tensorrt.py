"""The TensorRT format on a model of a few numbers, built for GPUs that are not here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from builder.build_one import make
from builder.candidate import Candidate
from builder.formats import open_format, tensorrt_library
from builder.formats.base import Format
from builder.formats.onnx_int8 import quantise_static
from builder.formats.tensorrt import RTX_FILE
from builder.formats.tensorrt_check import graph_faults
from builder.formats.tensorrt_graph import slim
from builder.formats.tensorrt_network import parse_failure
from builder.formats.tensorrt_plan import stale
from builder.model_spec import ModelSpec
from builder.optimization import OptimizationConfig
from builder.shapes import profiles
from builder.spec import pipeline
from builder.storing.manifest import Manifest
from pixelis.errors import BuildError, GateFailed, SetupError
from pixelis.machine import Gpu, Machine
from tests.builder.tiny import Loud, linear_spec, write_weights

pytest.importorskip("polygraphy")
pytest.importorskip("onnxslim")
pytest.importorskip("tensorrt_rtx")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, Path, Manifest]:
    """One engine, its spec and its manifest; nobody changes it."""
    place = tmp_path_factory.mktemp("tensorrt")
    spec = _spec(place)
    return spec, place / "out", make(spec, place / "out")


def _spec(place: Path, precision: str = "fp32", cls: str = "Linear", how: str = "none", **options: object) -> ModelSpec:
    spec = linear_spec("alpha", write_weights(place / "weights.npy"), cls)
    form = {"format": "tensorrt", "precision": precision, "quantization": how, "optimization": options}
    return spec.as_candidate(Candidate.model_validate(form))


def _copy(built: tuple[ModelSpec, Path, Manifest], to: Path) -> tuple[Format, bytes]:
    for path in built[1].iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return open_format("tensorrt"), (to / RTX_FILE).read_bytes()


def test_an_engine_is_built_and_says_that_it_never_ran(built: tuple[ModelSpec, Path, Manifest]) -> None:
    _, out, manifest = built
    assert open_format("tensorrt").inspect(out) == []
    assert manifest.gate.passed
    assert "never executed here" in manifest.gate.not_executed
    assert manifest.notes["compute_capabilities"] == "8.6, 8.9, 12.0"
    assert [(t.name, t.dtype, tuple(t.dims)) for t in manifest.inputs] == [("X", "FP32", (-1, 6))]
    assert [t.name for t in manifest.outputs] == ["SCORES", "CHOICE"]
    with pytest.raises(SetupError, match="not run here"):
        open_format("tensorrt").load(out, 1)


@pytest.mark.parametrize(
    ("precision", "how", "done"),
    [("fp16", "none", "1 weights in fp16"), ("bf16", "none", "1 weights in bf16"), ("int8", "static", "QDQ, ")],
)
def test_every_precision_is_in_the_graph_of_the_engine(tmp_path: Path, precision: str, how: str, done: str) -> None:
    manifest = make(_spec(tmp_path, precision, how=how), tmp_path / "out")
    assert (manifest.precision, manifest.inputs[0].dtype, manifest.outputs[0].dtype) == (precision, "FP32", "FP32")
    assert done in "; ".join(manifest.optimisations)
    assert manifest.optimisations[-1].startswith("tensorrt-rtx")
    assert ("quantised operators in floats" in manifest.notes["graph"]) is (precision == "int8")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[:-100], "its header says"),
        (lambda data: b"ONNX" + data[4:], "does not begin as a TensorRT-RTX engine"),
        (lambda data: data[:10], "less than a header"),
        (lambda data: data.replace(b"SCORES", b"SCARES"), "names SCORES 0 times"),
    ],
)
def test_a_damaged_engine_is_refused(
    built: tuple[ModelSpec, Path, Manifest], tmp_path: Path, damage: object, told: str
) -> None:
    form, data = _copy(built, tmp_path)
    (tmp_path / RTX_FILE).write_bytes(damage(data))  # type: ignore[operator]
    assert told in "; ".join(form.inspect(tmp_path))
    (tmp_path / RTX_FILE).unlink()
    assert form.inspect(tmp_path) == ["there is no engine"]


def test_an_engine_of_another_library_or_with_fewer_profiles_is_refused(
    built: tuple[ModelSpec, Path, Manifest], tmp_path: Path
) -> None:
    form, _ = _copy(built, tmp_path)
    facts = json.loads((tmp_path / "engine.json").read_text())
    facts |= {"library": "tensorrt-rtx 9.9.9.9", "profiles": facts["profiles"] * 500}
    (tmp_path / "engine.json").write_text(json.dumps(facts))
    told = "; ".join(form.inspect(tmp_path))
    assert "not by 9.9.9.9" in told
    assert "500 profiles need more" in told


def test_a_graph_that_answers_otherwise_than_its_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match="SCORES"):
        make(_spec(tmp_path, cls="Wrong"), tmp_path / "out")


def test_the_graph_is_judged_without_cutting_sums(tmp_path: Path) -> None:
    """Eight bits of weights on every CPU, and sums as a GPU has them, not as a CPU that adds pairs in 16 bits."""
    source, graph = Loud(), tmp_path / "model.onnx"
    source.export_onnx(tmp_path)
    quantise_static(graph, OptimizationConfig(activations="QInt8"), source.samples(), tables=False)
    slim(graph)
    integers = [w for w in onnx.load(str(graph)).graph.initializer if list(w.dims) in ([6, 6], [6, 4])]
    assert [np.abs(onnx.numpy_helper.to_array(w).astype(int)).max() for w in integers] == [127, 127]
    assert graph_faults(graph, source, "int8", {})[0] == []


def test_a_setting_that_the_library_does_not_know_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="group_size mean nothing") as refused:
        make(_spec(tmp_path, group_size=64), tmp_path / "out")
    assert "no setting" in str(refused.value)
    with pytest.raises(BuildError, match="same engine at every builder level") as level:
        make(_spec(tmp_path, "int8", how="static", builder_level=5), tmp_path / "out2")
    assert "calibration_samples, exclude_nodes, exclude_operators" in str(level.value)


def test_a_form_that_is_not_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="not made as tensorrt-int4") as refused:
        make(_spec(tmp_path, "int4", how="weights"), tmp_path / "out")
    assert "fp32, fp16, bf16, int8-static" in str(refused.value)


def test_every_bucket_has_a_whole_profile() -> None:
    for spec in pipeline().models:
        if spec.kind != "engine":
            continue
        made = profiles(spec)
        steps = max((len(sizes) for sizes in spec.buckets.values()), default=1)
        assert len(made) == len({profile.bucket for profile in made}) == steps, spec.name
        for profile in made:
            for shapes in (profile.minimum, profile.usual, profile.maximum):
                assert shapes.keys() == {tensor.name for tensor in spec.inputs}
            for name, least in profile.minimum.items():
                usual, most = profile.usual[name], profile.maximum[name]
                assert all(1 <= a <= b <= c for a, b, c in zip(least, usual, most, strict=True)), (spec.name, name)
                assert (least[0], most[0]) == (1, spec.max_batch_size)


def test_no_shapes_is_an_error(tmp_path: Path) -> None:
    spec = _spec(tmp_path)
    with pytest.raises(BuildError, match="No shapes"):
        open_format("tensorrt").export(spec.open_source(), tmp_path / "out", spec.candidate)


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_library.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"pixelis-serving\[tensorrt\]"):
        open_format("tensorrt").require()
    with pytest.raises(SetupError, match=r"pixelis-serving\[tensorrt\]"):
        tensorrt_library.library()


def test_an_operator_that_the_parser_lacks_is_named_with_its_place() -> None:
    errors = [("GroupQueryAttention", "/model/layers.0/attn", "Plugin not found, are the plugin name right?")]
    told = parse_failure("policy", errors)
    assert "`policy`: GroupQueryAttention at /model/layers.0/attn" in told.message
    other = parse_failure("policy", [("Conv", "/conv", "Assertion failed: rank <= 7")])
    assert "at Conv /conv: Assertion failed" in other.message


RTX = {"library": "tensorrt-rtx 1.7.1", "compute_capabilities": "8.6, 8.9", "driver": "none"}
PLAN = {"library": "tensorrt 10.13", "compute_capabilities": "8.9", "driver": "550.54"}
BOTH = {"tensorrt": "10.13", "tensorrt-rtx-cu13": "1.7.1"}


@pytest.mark.parametrize(
    ("notes", "gpu", "packages", "told"),
    [
        (RTX, "8.9", BOTH, ""),
        (PLAN, "8.9", BOTH, ""),
        (RTX, "9.0", BOTH, "is for compute capability 8.6, 8.9, here is"),
        (RTX, None, BOTH, "here is no GPU"),
        (RTX, "8.9", {}, "built by tensorrt-rtx 1.7.1, here is absent"),
        (PLAN, "8.9", BOTH | {"tensorrt": "10.9"}, "here is 10.9"),
        (PLAN | {"driver": "580.1"}, "8.9", BOTH, "under driver 580.1, here is the older 570.2"),
    ],
)
def test_a_stale_plan_is_told_with_the_command_that_rebuilds_it(
    notes: dict[str, str], gpu: str | None, packages: dict[str, str], told: str
) -> None:
    gpus = (Gpu("NVIDIA X", gpu, 24_000, "570.2"),) if gpu else ()
    here = Machine("cpu", frozenset(), 2, 8_000, gpus, tuple(packages.items()))
    reason = stale("alpha", notes, here)
    assert (reason == "") if not told else (told in reason)
    assert bool(reason) == ("pixelis build alpha --formats tensorrt --force" in reason)
