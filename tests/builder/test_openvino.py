"""The OpenVINO format on models of a few numbers."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from builder.build_one import make
from builder.candidate import Candidate
from builder.formats import open_format
from builder.formats.base import Format
from builder.formats.onnx import MODEL_FILE
from builder.formats.openvino_file import numbers
from builder.formats.openvino_quantise import is_transformer
from builder.model_spec import ModelSpec, TensorSpec
from builder.sources.base import Source, Tensors
from builder.spec import pipeline
from builder.storing.key import build_key
from pixelis.errors import BuildError, SetupError
from pixelis.machine import this_machine, without_instructions
from python_backends.engine import load_engine
from python_backends.engine.openvino_core import openvino_core
from tests.builder.tiny import Linear, linear_spec, write_weights

openvino = pytest.importorskip("openvino")
pytest.importorskip("nncf")
SIDE = 16


class Network(Source):
    """X FP32 `[B, S, 16]` -> Y FP32 `[B, S, 16]`: two layers with attention between; tokens lie beside the graph."""

    name = "network"

    def __init__(self, operator: str = "Relu") -> None:
        rng = np.random.default_rng(0)
        self.operator = operator
        self.weights = [rng.normal(size=(SIDE, SIDE)).astype(np.float32) / 4 for _ in range(2)]

    def files(self) -> Sequence[Path]:
        return []

    def reference(self, inputs: Tensors) -> Tensors:
        x = np.maximum(inputs["X"].astype(np.float32) @ self.weights[0], 0)
        return {"Y": (x @ x.transpose(0, 2, 1)) @ x @ self.weights[1] / SIDE}

    def samples(self) -> list[Tensors]:
        rng = np.random.default_rng(1)
        return [{"X": rng.normal(size=(b, s, SIDE)).astype(np.float32)} for b, s in ((1, 4), (3, 4), (2, 6))]

    def export_onnx(self, directory: Path) -> None:
        value = helper.make_tensor_value_info
        nodes = [
            helper.make_node("MatMul", ["X", "w0"], ["a"]),
            helper.make_node(self.operator, ["a"], ["b"], name="/layer/act", domain="" if self.known else "nowhere"),
            helper.make_node("Transpose", ["b"], ["bt"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["b", "bt"], ["c"]),
            helper.make_node("MatMul", ["c", "b"], ["d"]),
            helper.make_node("MatMul", ["d", "w1"], ["Y"], name="last"),
        ]
        shape = ["batch", "tokens", SIDE]
        last = self.weights[1] / np.float32(SIDE)
        weights = [
            helper.make_tensor(f"w{i}", TensorProto.FLOAT, w.shape, w.tobytes(), raw=True)
            for i, w in enumerate((self.weights[0], last))
        ]
        graph = helper.make_graph(
            nodes, "g", [value("X", TensorProto.FLOAT, shape)], [value("Y", TensorProto.FLOAT, shape)], weights
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("nowhere", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        (directory / MODEL_FILE).write_bytes(model.SerializeToString())
        (directory / "words.txt").write_text("beside")

    @property
    def known(self) -> bool:
        return self.operator == "Relu"


class Loud(Network):
    """Every product is near the largest that int8 holds, so that a sum of two does not fit into 16 bits."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = [np.random.default_rng(2).uniform(0.9, 1, (SIDE, SIDE)).astype(np.float32) for _ in range(2)]

    def samples(self) -> list[Tensors]:
        return [{"X": np.random.default_rng(3).uniform(0.9, 1, (2, 4, SIDE)).astype(np.float32)}]


class Uncalibrated(Network):
    """Has nothing to take ranges from."""

    def calibration(self) -> list[Tensors]:
        return []


class Miscalibrated(Network):
    """Its calibration samples have another shape than its input."""

    def calibration(self) -> list[Tensors]:
        return [{"X": np.zeros((1, 4, SIDE + 1), np.float32)}]


def _candidate(precision: str, how: str = "none", **options: object) -> Candidate:
    return Candidate.model_validate(
        {"format": "openvino", "precision": precision, "quantization": how, "optimization": options}
    )


def _export(source: Source, directory: Path, candidate: Candidate) -> Format:
    form = open_format("openvino")
    form.require()
    form.export(source, directory, candidate)
    return form


@pytest.mark.parametrize(
    ("precision", "how", "error"),
    [
        ("fp32", "none", 1e-5),
        ("fp16", "none", 5e-3),
        ("bf16", "none", 0.02),
        ("int8", "static", 0.3),
        ("int8", "weights", 0.02),
    ],
)
def test_every_precision_answers_and_says_what_it_is(tmp_path: Path, precision: str, how: str, error: float) -> None:
    if precision == "bf16" and precision in without_instructions(this_machine()):
        pytest.skip("this CPU cannot compute in bf16, which the builder says before it builds")
    source, candidate = Network(), _candidate(precision, how)
    form = _export(source, tmp_path, candidate)
    assert {p.name for p in tmp_path.iterdir()} == {"model.xml", "model.bin", "engine.json", "words.txt"}
    described = form.describe(tmp_path)
    assert [(t.name, t.dtype, t.dims) for t in described.inputs] == [("X", "FP32", (-1, -1, SIDE))]
    assert [(t.name, t.dtype) for t in described.outputs] == [("Y", "FP32")]
    with load_engine(tmp_path, threads=1) as engine:
        assert str(engine.inputs[0]) == f"X float32[batch, tokens, {SIDE}]"
        pairs = [(engine.run(sample)["Y"], source.reference(sample)["Y"]) for sample in source.samples()]
    worst = max(float(np.abs(answer - reference).max() / np.abs(reference).max()) for answer, reference in pairs)
    assert worst < error
    assert (worst > 1e-6) == (precision != "fp32")
    told = " ".join(form.optimise(tmp_path, candidate))
    assert {"fp16": "fp16", "bf16": "bfloat16", "int8": "nncf", "fp32": "convert_model"}[precision] in told


def test_sums_of_products_of_int8_are_not_cut(tmp_path: Path) -> None:
    """Where a CPU adds pairs of them in 16 bits, answers would be half of what they are."""
    source, candidate = Loud(), _candidate("int8", "static")
    form = _export(source, tmp_path, candidate)
    with load_engine(tmp_path, threads=1) as engine:
        answer, reference = (ask(source.samples()[0])["Y"] for ask in (engine.run, source.reference))
    np.testing.assert_allclose(answer, reference, rtol=0.05)
    told = " ".join(form.optimise(tmp_path, candidate))
    assert ("weights in 7 bits" in told) is ("int8" in without_instructions(this_machine()))


def test_the_form_of_a_cpu_that_cuts_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for cut in (False, True):
        monkeypatch.setattr("builder.forms.openvino.saturates", lambda cut=cut: cut)
        monkeypatch.setattr("builder.storing.key.saturates", lambda cut=cut: cut)
        for model in ("vision_encoder", "dynamics"):
            spec = pipeline()[model]
            spec = spec.as_candidate(spec.find_candidate("openvino-int8-static"))
            found[model, cut] = spec.optimization.exclude_nodes, build_key(spec, "digest")
    assert [found["vision_encoder", cut][0] for cut in (False, True)] == [(), ("MatMul[narrowing]",)]
    assert [found["dynamics", cut][0] for cut in (False, True)] == [("Gemm[:1]",)] * 2
    assert len({key for _, key in found.values()}) == 4


def test_weights_in_int8_are_a_quarter(tmp_path: Path) -> None:
    sizes = {}
    for precision, how in (("fp32", "none"), ("int8", "weights")):
        folder = tmp_path / precision
        sizes[precision] = _export(Network(), folder, _candidate(precision, how)).describe(folder).weight_bytes
    assert sizes["int8"] < 0.4 * sizes["fp32"]  # 2 matrices of 16 x 16, and their scales


def test_the_same_source_gives_the_same_bytes_and_no_path(tmp_path: Path) -> None:
    for precision, how in (("fp32", "none"), ("int8", "static"), ("int8", "weights")):
        folders = [tmp_path / f"{precision}-{how}-{i}" for i in range(2)]
        for folder in folders:
            _export(Network(), folder, _candidate(precision, how))
        for name in ("model.xml", "model.bin", "engine.json"):
            first, second = ((folder / name).read_bytes() for folder in folders)
            assert first == second, name
            assert b"/tmp" not in first
            assert b"pixelis-openvino-" not in first
        text = (folders[0] / "model.xml").read_text()
        assert "conversion_parameters" not in text
        assert str(tmp_path) not in text


def test_an_unknown_operator_is_told_with_its_place_and_the_way_round(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"nowhere\.Frobnicate at /layer/act.*standard operators"):
        _export(Network("Frobnicate"), tmp_path, _candidate("fp32"))


def test_a_failed_conversion_leaves_logging_as_it_was(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = root.level, list(root.filters)
    with pytest.raises(BuildError):
        _export(Network("Frobnicate"), tmp_path, _candidate("fp32"))
    assert (root.level, root.filters) == before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Uncalibrated(), "no calibration data"),
        (Miscalibrated(), r"sample 0 does not fit: Input X has shape \[1, 4, 17\]"),
    ],
)
def test_calibration_that_cannot_be_used_is_told(tmp_path: Path, source: Source, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        _export(source, tmp_path, _candidate("int8", "static"))


def test_nodes_can_be_left_out_of_quantisation(tmp_path: Path) -> None:
    model_bytes = {}
    chosen = {"all": {}, "none": {"exclude_operators": ("MatMul",)}, "half": {"exclude_nodes": ("MatMul[-1:]",)}}
    for name, options in chosen.items():
        folder = tmp_path / name
        _export(Network(), folder, _candidate("int8", "static", **options))
        model_bytes[name] = numbers(openvino_core().read_model(folder / "model.xml")).small
    assert model_bytes == {"all": 2 * SIDE * SIDE, "none": 0, "half": SIDE * SIDE}
    with pytest.raises(BuildError, match="no node nothing"):
        _export(Network(), tmp_path / "unknown", _candidate("int8", "static", exclude_nodes=("nothing",)))


def test_what_it_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"builder_level mean nothing.*exclude_nodes"):
        _export(Network(), tmp_path / "a", _candidate("fp32", builder_level=5))
    with pytest.raises(BuildError, match=r"openvino-int4.*int8 static"):
        _export(Network(), tmp_path / "b", _candidate("int4", "weights"))


def test_attention_is_recognised(tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "w.npy")
    for name, source, expected in (("n", Network(), True), ("l", Linear(str(weights)), False)):
        (tmp_path / name).mkdir()
        source.export_onnx(tmp_path / name)
        assert is_transformer(openvino.convert_model(tmp_path / name / MODEL_FILE)) is expected


def test_the_gate_judges_it_and_the_manifest_names_it(tmp_path: Path) -> None:
    spec = linear_spec("alpha", write_weights(tmp_path / "alpha.npy"), format="openvino")
    manifest = make(spec, tmp_path / "out")
    assert manifest.gate.passed
    assert manifest.libraries["openvino"] != "absent"
    assert manifest.weight_bytes == 6 * 4 * 4
    assert json.loads((tmp_path / "out" / "engine.json").read_text())["inference_precision"] == "f32"


def test_the_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"openvino, nncf.*pixelis-serving\[openvino\]"):
        open_format("openvino").require()


def test_specs_may_name_it() -> None:
    spec = ModelSpec(
        name="x",
        kind="engine",
        source="tests.builder.test_openvino:Network",
        format="openvino",
        inputs=(TensorSpec(name="X", dtype="FP32", dims=(-1, SIDE)),),
        outputs=(TensorSpec(name="Y", dtype="FP32", dims=(-1, SIDE)),),
    )
    assert spec.candidate.label == "openvino-fp32"
