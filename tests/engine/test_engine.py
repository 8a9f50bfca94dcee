"""The engine: what it runs, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from pixelis.errors import InvalidRequest, NotFound, SetupError, Unavailable
from python_backends.engine import Engine, load_engine
from tests.engine.support import rows, write_onnx


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model of two inputs that share the axis `batch`: SUM = A + B."""
    a = helper.make_tensor_value_info("A", TensorProto.FLOAT, ["batch", 3])
    b = helper.make_tensor_value_info("B", TensorProto.FLOAT, ["batch", 3])
    out = helper.make_tensor_value_info("SUM", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph([helper.make_node("Add", ["A", "B"], ["SUM"])], "sum", [a, b], [out])
    write_onnx(graph, tmp_path / "model.onnx")
    return tmp_path


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_runs_any_batch(engine: Engine, batch: int) -> None:
    out = engine.run({"A": rows(batch), "B": rows(batch)})
    np.testing.assert_array_equal(out["SUM"], 2 * rows(batch))


def test_describes_itself(engine: Engine) -> None:
    assert [str(d) for d in engine.inputs] == ["A float32[batch, 3]", "B float32[batch, 3]"]
    assert [str(d) for d in engine.outputs] == ["SUM float32[batch, 3]"]


def test_refuses_wrong_names_and_says_the_right_ones(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match=r"missing \['B'\], unknown \['C'\].*A float32"):
        engine.run({"A": rows(1), "C": rows(1)})


def test_refuses_another_element_type(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="A is float64, the model takes float32"):
        engine.run({"A": rows(1).astype(np.float64), "B": rows(1)})


@pytest.mark.parametrize("shape", [(1, 4), (3,), (1, 3, 1)])
def test_refuses_another_shape(engine: Engine, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequest, match="B has shape"):
        engine.run({"A": rows(1), "B": np.zeros(shape, np.float32)})


def test_refuses_batches_that_disagree(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match=r"already \{'batch': 2\}"):
        engine.run({"A": rows(2), "B": rows(3)})


def test_a_closed_engine_says_so(engine: Engine) -> None:
    with engine:
        pass
    with pytest.raises(Unavailable, match="closed"):
        engine.run({"A": rows(1), "B": rows(1)})


def test_missing_and_broken_artifacts(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="pixelis build"):
        load_engine(tmp_path, threads=1)
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(SetupError, match=r"cannot load model\.onnx"):
        load_engine(tmp_path, threads=1)


def test_values_that_the_graph_cannot_take_are_the_caller_s_fault(tmp_path: Path) -> None:
    index = helper.make_tensor_value_info("INDEX", TensorProto.INT64, ["batch"])
    out = helper.make_tensor_value_info("OUT", TensorProto.FLOAT, ["batch"])
    table = helper.make_tensor("table", TensorProto.FLOAT, [2], [5.0, 7.0])
    graph = helper.make_graph([helper.make_node("Gather", ["table", "INDEX"], ["OUT"])], "g", [index], [out], [table])
    write_onnx(graph, tmp_path / "model.onnx")
    with load_engine(tmp_path, threads=1) as engine:
        assert engine.run({"INDEX": np.array([1, 0])})["OUT"].tolist() == [7, 5]
        with pytest.raises(InvalidRequest, match=r"does not take these inputs.*idx=9"):
            engine.run({"INDEX": np.array([1, 9])})


@pytest.mark.parametrize("matrix", [127, -128])
def test_integer_products_are_exact_on_every_processor(tmp_path: Path, matrix: int) -> None:
    """Where a CPU adds pairs of products in 16 bits, 255 * 127 twice is cut to half."""
    a = helper.make_tensor_value_info("A", TensorProto.UINT8, ["batch", 64])
    out = helper.make_tensor_value_info("OUT", TensorProto.INT32, ["batch", 16])
    weights = helper.make_tensor("B", TensorProto.INT8, [64, 16], np.full(64 * 16, matrix).tolist())
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["A", "B"], ["OUT"])], "g", [a], [out], [weights])
    write_onnx(graph, tmp_path / "model.onnx")
    with load_engine(tmp_path, threads=1) as engine:
        answer = engine.run({"A": np.full((3, 64), 255, np.uint8)})["OUT"]
    np.testing.assert_array_equal(answer, np.full((3, 16), 255 * 64 * matrix))
