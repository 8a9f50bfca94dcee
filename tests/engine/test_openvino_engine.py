"""The OpenVINO engine: what it runs, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from onnx import TensorProto, helper

from pixelis.errors import InvalidRequest, SetupError, Unavailable
from python_backends.engine import Engine, load_engine
from tests.engine.support import rows, write_onnx

openvino = pytest.importorskip("openvino")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """SUM = A + B over float rows, and FLIPPED = not MASK, PIXELS and INDEX as they came."""
    value = helper.make_tensor_value_info
    inputs = [
        value("A", TensorProto.FLOAT, ["batch", 3]),
        value("B", TensorProto.FLOAT, ["batch", 3]),
        value("MASK", TensorProto.BOOL, ["batch", "width"]),
        value("PIXELS", TensorProto.UINT8, ["batch", 2]),
        value("INDEX", TensorProto.INT64, ["batch", 1]),
    ]
    outputs = [
        value("SUM", TensorProto.FLOAT, ["batch", 3]),
        value("FLIPPED", TensorProto.BOOL, ["batch", "width"]),
        value("BRIGHT", TensorProto.UINT8, ["batch", 2]),
        value("NEXT", TensorProto.INT64, ["batch", 1]),
    ]
    one = helper.make_tensor("one", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Add", ["A", "B"], ["SUM"]),
        helper.make_node("Not", ["MASK"], ["FLIPPED"]),
        helper.make_node("Identity", ["PIXELS"], ["BRIGHT"]),
        helper.make_node("Add", ["INDEX", "one"], ["NEXT"]),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [one])
    model = openvino.convert_model(write_onnx(graph, tmp_path / "graph.onnx"))
    openvino.save_model(model, tmp_path / "model.xml")
    (tmp_path / "graph.onnx").unlink()
    axes = {v.name: [d.dim_value or d.dim_param for d in v.type.tensor_type.shape.dim] for v in inputs}
    (tmp_path / "engine.json").write_text(json.dumps({"inference_precision": "f32", "axes": axes}))
    return tmp_path


def _inputs(batch: int, start: float = 0) -> dict[str, np.ndarray]:
    return {
        "A": rows(batch, start),
        "B": rows(batch, start),
        "MASK": np.tile([True, False], (batch, 1)),
        "PIXELS": np.full((batch, 2), 200, np.uint8),
        "INDEX": np.arange(batch).reshape(batch, 1),
    }


def test_runs_any_batch_and_keeps_types(engine: Engine) -> None:
    for batch in (1, 8, 2):
        given = _inputs(batch)
        out = engine.run(given)
        np.testing.assert_array_equal(out["SUM"], 2 * given["A"])
        np.testing.assert_array_equal(out["FLIPPED"], ~given["MASK"])
        np.testing.assert_array_equal(out["BRIGHT"], given["PIXELS"])
        np.testing.assert_array_equal(out["NEXT"], given["INDEX"] + 1)
        assert [out[d.name].dtype for d in engine.outputs] == [d.dtype for d in engine.outputs]


def test_describes_itself_with_the_names_of_axes(engine: Engine) -> None:
    assert [str(d) for d in engine.inputs][:3] == [
        "A float32[batch, 3]",
        "B float32[batch, 3]",
        "MASK bool[batch, width]",
    ]
    assert {d.name: d.dtype.name for d in engine.inputs}["INDEX"] == "int64"


def test_answers_are_the_caller_s_own(engine: Engine) -> None:
    first = engine.run(_inputs(2))["SUM"]
    kept = first.copy()
    engine.run(_inputs(2, start=50))
    np.testing.assert_array_equal(first, kept)


def test_takes_arrays_that_are_not_contiguous(engine: Engine) -> None:
    wide = np.arange(12, dtype=np.float32).reshape(2, 6)
    given = {**_inputs(2), "A": wide[:, ::2]}
    np.testing.assert_array_equal(engine.run(given)["SUM"], wide[:, ::2] + given["B"])


def test_threads_do_not_see_each_other_s_tensors(engine: Engine) -> None:
    def ask(n: int) -> bool:
        given = _inputs(1 + n % 5, start=n)
        return bool((engine.run(given)["SUM"] == 2 * given["A"]).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("A", np.zeros((1, 3)), "A is float64, the model takes float32"),
        ("A", np.zeros((1, 4), np.float32), "A has shape"),
        ("B", np.zeros((2, 3), np.float32), r"already \{'batch': 1"),
    ],
)
def test_refuses_what_does_not_fit(engine: Engine, name: str, array: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        engine.run({**_inputs(1), name: array})


def test_batches_must_agree_whatever_the_file_says_of_its_axes(directory: Path) -> None:
    (directory / "engine.json").unlink()
    with load_engine(directory, threads=1) as engine, pytest.raises(InvalidRequest, match=r"already \{'batch': 3"):
        engine.run({**_inputs(3), "B": np.zeros((2, 3), np.float32)})


def test_a_shape_that_only_the_graph_knows_is_the_caller_s_fault(tmp_path: Path) -> None:
    """OpenVINO answers an empty tensor, without an error, where halves of an odd width are joined again."""
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["batch", 1, "width"])
    y = helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["batch", 1, "width"])
    pool = helper.make_node("MaxPool", ["X"], ["half"], kernel_shape=[2], strides=[2])
    twice = helper.make_node("Resize", ["half", "", "scales"], ["even"], mode="nearest")
    scales = helper.make_tensor("scales", TensorProto.FLOAT, [3], [1.0, 1.0, 2.0])
    graph = helper.make_graph([pool, twice, helper.make_node("Add", ["X", "even"], ["Y"])], "g", [x], [y], [scales])
    model = openvino.convert_model(write_onnx(graph, tmp_path / "graph.onnx"))
    openvino.save_model(model, tmp_path / "model.xml")
    (tmp_path / "engine.json").write_text(json.dumps({"axes": {n: ["batch", 1, "width"] for n in "XY"}}))
    with load_engine(tmp_path, threads=1) as engine:
        assert engine.run({"X": np.ones((3, 1, 4), np.float32)})["Y"].tolist() == [[[2.0] * 4]] * 3
        with pytest.raises(InvalidRequest, match="does not take these inputs"):
            engine.run({"X": np.ones((2, 1, 5), np.float32)})
        assert engine.run({"X": np.ones((1, 1, 6), np.float32)})["Y"].tolist() == [[[2.0] * 6]]


def test_a_closed_engine_says_so(engine: Engine) -> None:
    engine.close()
    with pytest.raises(Unavailable, match="closed"):
        engine.run(_inputs(1))


def test_broken_files_are_told(directory: Path) -> None:
    (directory / "engine.json").write_text("[]")
    with pytest.raises(SetupError, match=r"engine\.json is not a JSON object"):
        load_engine(directory, threads=1)
    (directory / "engine.json").unlink()
    (directory / "model.bin").write_bytes(b"")
    with pytest.raises(SetupError, match=r"cannot load model\.xml.*pixelis build"):
        load_engine(directory, threads=1)


def test_without_the_package_the_extra_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(SetupError, match=r"pixelis-serving\[openvino\]"):
        load_engine(directory, threads=1)


def test_a_signal_after_engines_that_went_in_another_order_is_survived(directory: Path) -> None:
    """A stack for signals that OpenVINO put back and that is no longer there ends the process with SIGSEGV."""
    child = """
        import signal, sys
        from pathlib import Path
        from python_backends.engine import load_engine

        came = []
        signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
        first = load_engine(Path(sys.argv[1]), threads=1)
        second = load_engine(Path(sys.argv[1]), threads=1)
        first.close()
        second.close()
        del first, second
        signal.raise_signal(signal.SIGUSR1)
        assert came
    """
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", dedent(child), str(directory)], timeout=120)
    assert done.returncode == 0
