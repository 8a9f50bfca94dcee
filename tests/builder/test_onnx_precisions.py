"""Conversions of ONNX graphs: small weights, the same tensors outside, answers that stay near, bytes that repeat."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from builder.candidate import Candidate, Quantization
from builder.formats.onnx import MODEL_FILE, OnnxFormat
from builder.gate import judge
from builder.model_spec import ModelSpec, TensorSpec
from builder.optimization import OptimizationConfig
from builder.sources.base import Tensors, TorchSource
from builder.tolerance import TOLERANCES, Precision
from pixelis.errors import BuildError, SetupError
from python_backends.engine import load_engine

ROWS, WIDTH = 300, 64


class Tiny(TorchSource):
    """IDS INT64 `[B, S]`, X FP32 `[B, 64]` -> Y FP32 `[B, 8]`: a table, a normalisation, two matrices."""

    name = "tiny"
    inputs = ("IDS", "X")
    outputs = ("Y",)

    def files(self) -> Sequence[Path]:
        return []

    def module(self):  # type: ignore[no-untyped-def]
        import torch
        from torch import nn

        torch.manual_seed(3)

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.table = nn.Embedding(ROWS, WIDTH)
                self.norm = nn.LayerNorm(WIDTH)
                self.one, self.two = nn.Linear(WIDTH, 128), nn.Linear(128, 8)

            def forward(self, ids, x):  # type: ignore[no-untyped-def]
                mixed = self.norm(self.table(ids).mean(dim=1) + x)
                return self.two(torch.nn.functional.gelu(self.one(mixed)))

        return Net().eval()

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        return {"IDS": {0: "batch", 1: "length"}, "X": {0: "batch"}}

    def samples(self) -> list[Tensors]:
        return [self._rows(size, size) for size in (1, 3, 8)]

    def calibration(self) -> list[Tensors]:
        return [self._rows(16, 99), self._rows(16, 100)]

    def export_onnx(self, directory: Path) -> None:
        (directory / MODEL_FILE).write_bytes(_exported())

    @staticmethod
    def _rows(size: int, seed: int) -> Tensors:
        rng = np.random.default_rng(seed)
        ids = rng.integers(0, ROWS, (size, 2 + seed % 5))
        return {"IDS": ids, "X": rng.normal(size=(size, WIDTH)).astype(np.float32)}


@lru_cache(maxsize=1)
def _exported() -> bytes:
    """Tracing takes seconds; what is tested here comes after it."""
    with TemporaryDirectory() as folder:
        super(Tiny, Tiny()).export_onnx(Path(folder))
        return (Path(folder) / MODEL_FILE).read_bytes()


SPEC = ModelSpec(
    name="tiny",
    kind="engine",
    source="tests.builder.test_onnx_precisions:Tiny",
    max_batch_size=8,
    inputs=(TensorSpec(name="IDS", dtype="INT64", dims=(-1,)), TensorSpec(name="X", dtype="FP32", dims=(WIDTH,))),
    outputs=(TensorSpec(name="Y", dtype="FP32", dims=(8,)),),
)


def _form(precision: Precision, how: Quantization = "none", **settings: object) -> Candidate:
    config = OptimizationConfig.model_validate(settings)
    return Candidate(format="onnx", precision=precision, quantization=how, optimization=config)


FORMS = (
    _form("fp16"),
    _form("int8", "dynamic"),
    _form("int8", "static", calibration_samples=24),
    _form("int8", "static", activations="QInt8", per_channel=False),
    _form("int8", "weights"),
    _form("int4", "weights", group_size=16),
    _form("int4", "weights", group_size=16, block_scales="asymmetric"),
)


def _make(directory: Path, form: Candidate, source: TorchSource | None = None) -> list[str]:
    onnx = OnnxFormat()
    onnx.export(source or Tiny(), directory, form)
    return onnx.optimise(directory, form)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("fp32")
    _make(directory, _form("fp32"))
    return directory


@pytest.mark.parametrize(
    "form", FORMS, ids=lambda form: f"{form.label}-{form.optimization.activations}-{form.optimization.block_scales}"
)
def test_a_smaller_precision_passes_the_gate(form: Candidate, single: Path, tmp_path: Path) -> None:
    done = _make(tmp_path / "one", form)
    # Untrained outputs are near each other, so that which of them is the largest says little.
    allowed = TOLERANCES[form.precision].model_copy(update={"argmax": 0.75, "scale": 0.05})
    verdict = judge(Tiny(), tmp_path / "one", SPEC.as_candidate(form).model_copy(update={"tolerance": allowed}))
    assert verdict.passed, verdict.reasons
    # it is another graph than the fp32 one, and says what was done
    assert verdict.outputs["Y"].against_source.max_abs > 1e-5
    assert len(done) >= 3
    assert bool(verdict.weights) is form.precision.startswith("int"), "integers are compared with their source"
    small, large = (OnnxFormat().describe(path) for path in (tmp_path / "one", single))
    assert small.weight_bytes < 0.6 * large.weight_bytes
    assert (small.inputs, small.outputs) == (large.inputs, large.outputs)


@pytest.mark.parametrize("form", FORMS[:5:2] + FORMS[-1:], ids=lambda form: form.label)
def test_the_same_source_gives_the_same_bytes(form: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        _make(tmp_path / place / "out", form)
    one, two = ((tmp_path / place / "out" / MODEL_FILE).read_bytes() for place in ("one", "two"))
    assert one == two
    assert str(tmp_path).encode() not in one
    assert [path.name for path in (tmp_path / "one" / "out").iterdir()] == [MODEL_FILE]


def test_the_manifest_is_told_how_many_samples_calibrated(tmp_path: Path) -> None:
    done = _make(tmp_path, FORMS[2])
    assert any("QDQ" in line and "per-channel" in line and "24 samples" in line for line in done)


def test_what_is_excluded_stays_in_fp32(single: Path, tmp_path: Path) -> None:
    import onnx

    products = [n.name for n in onnx.load(str(single / MODEL_FILE)).graph.node if n.op_type in ("MatMul", "Gemm")]
    assert len(products) == 2
    for how in ("dynamic", "static", "weights"):
        _make(tmp_path / how, _form("int8", how, exclude_nodes=(products[0],)))  # type: ignore[arg-type]
        graph = onnx.load(str(tmp_path / how / MODEL_FILE)).graph
        shapes = [list(w.dims) for w in graph.initializer if w.data_type == onnx.TensorProto.FLOAT and len(w.dims) == 2]
        assert any(sorted(shape) == [WIDTH, 128] for shape in shapes)
        assert not any(sorted(shape) == [8, 128] for shape in shapes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exclude_nodes": ("nowhere",)}, "no node nowhere"),
        (
            {"exclude_operators": ("MatMul", "Gemm", "Conv", "Clip", "Relu")},
            "no operator that could be quantised",
        ),
    ],
    ids=["unknown node", "nothing left"],
)
def test_settings_that_cannot_be_followed_are_refused(
    settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match=message):
        _make(tmp_path, _form("int8", "static", **settings))


class Uncalibrated(Tiny):
    """Hands out what a test puts here."""

    data: list[Tensors]

    def calibration(self) -> list[Tensors]:
        return self.data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "no calibration data"),
        ([{"IDS": np.zeros((0, 2), np.int64), "X": np.zeros((0, WIDTH), np.float32)}], "no calibration data"),
        ([{"IDS": np.zeros((2, 2), np.int64), "X": np.zeros((2, 7), np.float32)}], r"sample 0 does not fit.*\[2, 7\]"),
        ([{"X": np.zeros((2, WIDTH), np.float32)}], r"sample 0 does not fit.*missing \['IDS'\]"),
        ([{"IDS": np.zeros((2, 2), np.int64), "X": np.full((2, WIDTH), np.nan, np.float32)}], "X holds NaN"),
    ],
    ids=["none", "no rows", "wrong width", "an input is missing", "not a number"],
)
def test_calibration_data_that_does_not_fit_is_refused(data: list[Tensors], message: str, tmp_path: Path) -> None:
    source = Uncalibrated()
    source.data = data
    with pytest.raises(BuildError, match=message):
        _make(tmp_path, _form("int8", "static"), source)


def test_bf16_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="bf16"):
        _make(tmp_path, _form("bf16"))


def test_the_graph_level_reaches_the_session(single: Path, tmp_path: Path) -> None:
    assert not (single / "engine.json").exists()
    _make(tmp_path, _form("fp32", graph_level="disabled"))
    with load_engine(tmp_path, 1) as engine, load_engine(single, 1) as usual:
        import onnxruntime

        levels = onnxruntime.GraphOptimizationLevel
        session, plain = engine._session, usual._session  # type: ignore[attr-defined]
        assert session.get_session_options().graph_optimization_level == levels.ORT_DISABLE_ALL
        assert plain.get_session_options().graph_optimization_level == levels.ORT_ENABLE_ALL


@pytest.mark.parametrize("text", ['{"graph_level": "most"}', '{"level": "all"}', '{"prepack": 1}', "[]", "{"])
def test_settings_that_are_not_understood_are_refused(text: str, single: Path, tmp_path: Path) -> None:
    (tmp_path / MODEL_FILE).write_bytes((single / MODEL_FILE).read_bytes())
    (tmp_path / "engine.json").write_text(text)
    with pytest.raises(SetupError, match=r"engine\.json cannot be followed"):
        load_engine(tmp_path, 1)


def test_an_old_operator_set_is_raised_where_scales_are_per_channel(tmp_path: Path) -> None:
    from builder.formats.onnx_int8 import quantise_static

    path = tmp_path / MODEL_FILE
    _write_convolutions(path, opset=11)
    images = [np.random.default_rng(seed).normal(size=(16, 3, 12, 12)).astype(np.float32) for seed in (1, 2)]
    with load_engine(tmp_path, 1) as engine:
        wanted = engine.run({"IMAGE": images[0]})["Y"]
    done = quantise_static(path, OptimizationConfig(), [{"IMAGE": images[1]}])
    assert "operator set 11 -> 13" in done
    with load_engine(tmp_path, 1) as engine:
        got = engine.run({"IMAGE": images[0]})["Y"]
    assert 0 < np.abs(got - wanted).max() < 0.05 * np.abs(wanted).max()


def _write_convolutions(path: Path, opset: int) -> None:
    """IMAGE FP32 `[B, 3, 12, 12]` -> Y FP32 `[B, 8, 1, 1]`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    shapes = {"one": (16, 3, 3, 3), "two": (8, 16, 1, 1)}
    weights = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), name) for name, s in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["IMAGE", "one"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "two"], ["c"], name="second"),
        helper.make_node("GlobalAveragePool", ["c"], ["Y"], name="mean"),
    ]
    image = helper.make_tensor_value_info("IMAGE", TensorProto.FLOAT, ["batch", 3, 12, 12])
    out = helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["batch", 8, 1, 1])
    graph = helper.make_graph(nodes, "convolutions", [image], [out], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, str(path))
