"""ONNX Runtime on the CPU, within an explicit thread budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from pixelis.errors import InvalidRequest, ServingError, SetupError, Unavailable
from pixelis.json_text import read_object, reason
from python_backends.engine.base import Engine, TensorDescription, Tensors

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


SETTINGS = "engine.json"
"""Beside the graph, where it is not loaded with the defaults: `{"graph_level": "basic", "prepack": false}`.

Without prepacking matrices stay in the mapped file, instead of being copied into an order that the kernels like better.
"""

WIDE = "session.x64quantprecision"
"""Where a CPU adds pairs of products of uint8 and int8 in 16 bits, which cuts the largest (AVX2 without VNNI), int8
weights become uint8 at load, whose products are added in 32. On other CPUs, and for weights of 7 bits, nothing changes.
"""


def open_session(path: Path, threads: int, integers: bool = True) -> onnxruntime.InferenceSession:
    """A session of `path` that uses `threads` threads and does not spin while it waits.

    Spinning workers of several processes on few cores starve each other, hence off.

    Args:
        path: the graph.
        threads: of one run.
        integers: false = what lies between DequantizeLinear and QuantizeLinear is computed in floats, as it is written.

    Raises:
        SetupError: the file is not a model that this ONNX Runtime can load, or its settings are not understood.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, prepack = _settings(path.parent / SETTINGS)
    if not prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry(WIDE if integers else "session.disable_quant_qdq", "1")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception
        raise SetupError(
            f"ONNX Runtime {onnxruntime.__version__} cannot load {path.name}: {_first_line(error)}.",
            mend="Build it again with `pixelis build`, in the environment that serves it.",
        ) from error


def _settings(settings: Path) -> tuple[onnxruntime.GraphOptimizationLevel, bool]:
    """What `settings` says of the level of graph optimisation and of prepacking; all of both where there is no file."""
    levels = onnxruntime.GraphOptimizationLevel
    known = {
        "disabled": levels.ORT_DISABLE_ALL,
        "basic": levels.ORT_ENABLE_BASIC,
        "extended": levels.ORT_ENABLE_EXTENDED,
        "all": levels.ORT_ENABLE_ALL,
    }
    if not settings.is_file():
        return known["all"], True
    try:
        said = read_object(settings)
        unknown = sorted(said.keys() - {"graph_level", "prepack"})
        level, prepack = said.get("graph_level", "all"), said.get("prepack", True)
        if not unknown and level in known and isinstance(prepack, bool):
            return known[level], prepack
        problem = f"{unknown[0]} is not known" if unknown else f"there is no level {level}, only {', '.join(known)}"
        problem = problem if isinstance(prepack, bool) else f"prepack is {prepack}"
    except (OSError, ValueError, TypeError) as error:  # keys that are lists are no texts
        problem = reason(error)
    raise SetupError(f"{settings.name} cannot be followed: {problem}.", mend="Build the model again.")


class OnnxRuntimeEngine(Engine):
    """`model.onnx` in an ONNX Runtime session.

    Args:
        path: the model file; external data is found beside it.
        threads: threads of one run (intra-op). Operators run one after the other.
        integers: see `open_session`.
    """

    def __init__(self, path: Path, threads: int, integers: bool = True) -> None:
        self._session: onnxruntime.InferenceSession | None = open_session(path, threads, integers)
        self.inputs = tuple(_describe(node) for node in self._session.get_inputs())
        self.outputs = tuple(_describe(node) for node in self._session.get_outputs())
        self._names = [description.name for description in self.outputs]

    def _run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        session = self._session
        if session is None:
            raise Unavailable("The engine was closed.", mend="Load the model again.")
        try:
            results = session.run(self._names, dict(inputs))
        except InvalidArgument as error:  # shapes that fit the description, values or sizes that the graph cannot take
            raise InvalidRequest(f"The model does not take these inputs: {_first_line(error)}.") from error
        except Exception as error:  # see open_session
            raise ServingError(f"ONNX Runtime failed: {_first_line(error)}.") from error
        return dict(zip(self._names, results, strict=True))

    def close(self) -> None:
        """Let go of the session."""
        self._session = None


def _describe(node: onnxruntime.NodeArg) -> TensorDescription:
    if node.type not in _DTYPES:
        raise SetupError(f"{node.name} is a {node.type}, which no Triton model here serves.")
    # An axis without a name is its own: it must not be tied to the other nameless ones.
    shape = tuple(
        axis if isinstance(axis, int | str) and axis != "" else f"{node.name}.{i}" for i, axis in enumerate(node.shape)
    )
    return TensorDescription(node.name, np.dtype(_DTYPES[node.type]), shape)


def _first_line(error: Exception) -> str:
    """The error's first line: the rest is a native stack."""
    text = str(error).strip()
    return (text.splitlines()[0] if text else type(error).__name__).rstrip(".")
