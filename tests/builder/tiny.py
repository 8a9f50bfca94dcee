"""Models of a few numbers: real ONNX graphs, built in milliseconds, and some that misbehave."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from builder.formats.onnx import MODEL_FILE, save
from builder.model_spec import ModelSpec, TensorSpec
from builder.sources.base import Source, Tensors
from builder.spec import Pipeline

WIDTH, CLASSES = 6, 4
SHIM = 'from python_backends.serving.engine import Engine as TritonPythonModel\n\n__all__ = ["TritonPythonModel"]\n'


class Linear(Source):
    """X FP32 `[B, 6]` -> SCORES FP32 `[B, 4]` and CHOICE INT64 `[B, 1]`; weights in a .npy file."""

    name = "linear"

    def __init__(self, weights: str) -> None:
        self.path = Path(weights)

    def files(self) -> Sequence[Path]:
        return [self.path]

    def weights(self) -> NDArray[np.float32]:
        return np.load(self.path)

    def reference(self, inputs: Tensors) -> Tensors:
        scores = inputs["X"].astype(np.float32) @ self.weights()
        return {"SCORES": scores, "CHOICE": scores.argmax(1, keepdims=True)}

    def samples(self) -> list[Tensors]:
        rng = np.random.default_rng(0)
        return [{"X": rng.normal(size=(batch, WIDTH)).astype(np.float32)} for batch in (1, 3, 8)]

    def export_onnx(self, directory: Path) -> None:
        write_linear(directory / MODEL_FILE, self.weights())


class Loud(Linear):
    """X -> H `[B, 6]` -> SCORES FP32 `[B, 4]`, each product the largest that int8 holds: some CPUs cut their sums."""

    def __init__(self) -> None:
        super().__init__("")
        self.matrices = {name: np.full((WIDTH, size), 0.5, np.float32) for name, size in (("a", WIDTH), ("b", CLASSES))}

    def reference(self, inputs: Tensors) -> Tensors:
        return {"SCORES": inputs["X"].astype(np.float32) @ self.matrices["a"] @ self.matrices["b"]}

    def samples(self) -> list[Tensors]:
        return [{"X": np.full((3, WIDTH), 2, np.float32)}]

    def export_onnx(self, directory: Path) -> None:
        from onnx import TensorProto, helper, numpy_helper

        pairs = (("X", "a", "H"), ("H", "b", "SCORES"))
        nodes = [helper.make_node("MatMul", [x, matrix], [y], name=y) for x, matrix, y in pairs]
        given = [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["batch", WIDTH])]
        made = [helper.make_tensor_value_info("SCORES", TensorProto.FLOAT, ["batch", CLASSES])]
        weights = [numpy_helper.from_array(matrix, name) for name, matrix in self.matrices.items()]
        graph = helper.make_graph(nodes, "loud", given, made, weights)
        directory.mkdir(parents=True, exist_ok=True)
        opsets = [helper.make_opsetid("", 20)]
        save(helper.make_model(graph, opset_imports=opsets, ir_version=10), directory / MODEL_FILE)


class HalfWritten(Linear):
    """Writes half an artifact, says so, and takes its time."""

    def export_onnx(self, directory: Path) -> None:
        super().export_onnx(directory)
        path = directory / MODEL_FILE
        path.write_bytes(path.read_bytes()[:100])
        self.path.with_suffix(".exporting").touch()
        time.sleep(60)


class SlowToJudge(Linear):
    """Is exported at once, and takes its time to answer for the gate."""

    def reference(self, inputs: Tensors) -> Tensors:
        self.path.with_suffix(".exporting").touch()
        time.sleep(60)
        return super().reference(inputs)


class SlowToOptimise(Linear):
    """The format's passes over its graph take their time."""

    def export_onnx(self, directory: Path) -> None:
        from builder.formats.onnx import OnnxFormat

        def optimise(form: OnnxFormat, directory: Path, candidate: object) -> list[str]:
            self.path.with_suffix(".exporting").touch()
            time.sleep(60)
            return []

        super().export_onnx(directory)
        OnnxFormat.optimise = optimise  # type: ignore[method-assign]


class Wrong(Linear):
    """Exports other weights than it answers with."""

    def export_onnx(self, directory: Path) -> None:
        write_linear(directory / MODEL_FILE, self.weights() + np.float32(0.01))


class Crashing(Linear):
    """Takes its process down in native code."""

    def export_onnx(self, directory: Path) -> None:
        ctypes.string_at(0)


def write_linear(
    path: Path,
    weights: NDArray[np.float32],
    names: tuple[str, str, str] = ("X", "SCORES", "CHOICE"),
    batch: str | int = "batch",
) -> None:
    """An ONNX graph of `X @ weights` and its arg-max."""
    from onnx import TensorProto, helper, numpy_helper

    x, scores, choice = names
    nodes = [
        helper.make_node("MatMul", [x, "weights"], [scores]),
        helper.make_node("ArgMax", [scores], [choice], axis=1, keepdims=1),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [batch, WIDTH])],
        [
            helper.make_tensor_value_info(scores, TensorProto.FLOAT, [batch, CLASSES]),
            helper.make_tensor_value_info(choice, TensorProto.INT64, [batch, 1]),
        ],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    save(model, path)


def write_weights(path: Path, seed: int = 0) -> Path:
    """Weights in a file."""
    np.save(path, np.random.default_rng(seed).normal(size=(WIDTH, CLASSES)).astype(np.float32))
    return path


def linear_spec(name: str, weights: Path, cls: str = "Linear", **changes: object) -> ModelSpec:
    """An engine model around one of the sources here."""
    spec = ModelSpec(
        name=name,
        kind="engine",
        source=f"tests.builder.tiny:{cls}",
        arguments={"weights": str(weights)},
        max_batch_size=8,
        inputs=(TensorSpec(name="X", dtype="FP32", dims=(WIDTH,)),),
        outputs=(
            TensorSpec(name="SCORES", dtype="FP32", dims=(CLASSES,)),
            TensorSpec(name="CHOICE", dtype="INT64", dims=(1,)),
        ),
    )
    return spec.model_copy(update=changes)


def write_shims(repository: Path, known: Pipeline) -> None:
    """A committed version 1 for every model."""
    for name in known.names:
        (repository / name / "1").mkdir(parents=True, exist_ok=True)
        (repository / name / "1" / "model.py").write_text(SHIM)
