"""OpenVINO on the CPU, within an explicit thread budget.

`engine.json` beside the model may say `inference_precision` (the arithmetic: `f32` unless it says `bf16`) and `axes`
(by tensor, the name of every axis that varies: an OpenVINO file has sizes and no names).

OpenVINO checks little: where two batches disagree it reads what is not there, and where a shape does not fit inside the
graph it answers an empty tensor. So inputs that share an axis must agree before a run, and outputs with them after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis import json_text
from pixelis.errors import InvalidRequest, ServingError, SetupError, Unavailable
from python_backends.engine.base import Engine, TensorDescription, Tensors
from python_backends.engine.openvino_core import openvino_core

SETTINGS_FILE = "engine.json"
_DTYPES: dict[str, type[np.generic]] = {
    "f32": np.float32,
    "f16": np.float16,
    "f64": np.float64,
    "u8": np.uint8,
    "i8": np.int8,
    "i32": np.int32,
    "i64": np.int64,
    "boolean": np.bool_,
}


class OpenVinoEngine(Engine):
    """`model.xml` with its `model.bin`, compiled for the CPU when it is loaded.

    Every run borrows an inference request of its own, so that threads never see each other's tensors; there are as
    many as runs were ever in flight together.

    Args:
        path: the model's .xml.
        threads: threads of one run.
    """

    def __init__(self, path: Path, threads: int) -> None:
        settings = engine_settings(path.with_name(SETTINGS_FILE))
        precision = str(settings.get("inference_precision", "f32"))
        axes: Mapping[str, list[int | str]] = settings.get("axes", {})
        self._compiled: Any = _compile(path, threads, precision)
        self.inputs = tuple(_describe(port, axes) for port in self._compiled.inputs)
        self.outputs = tuple(_describe(port, axes) for port in self._compiled.outputs)
        self._idle: list[Any] = []
        self._lock = Lock()

    def _run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        request = self._borrow()
        # shared, or a request that once had a small batch refuses a larger one
        given = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        try:
            answers = request.infer(given, share_inputs=True, share_outputs=False)
            results = [np.array(answers[i]) for i in range(len(self.outputs))]
        except RuntimeError as error:  # OpenVINO has one type for everything
            raise _failure(error) from error
        finally:
            with self._lock:
                self._idle.append(request)
        answer: Tensors = {wanted.name: array for wanted, array in zip(self.outputs, results, strict=True)}
        self._check_answer(inputs, answer)
        return answer

    def _check_answer(self, inputs: Mapping[str, NDArray[np.generic]], answer: Tensors) -> None:
        """Fixed sizes as they are described, shared axes as long as in the inputs.

        Raises:
            InvalidRequest: an output has another shape; the inputs did not fit inside the graph.
        """
        axes: dict[int | str, int] = {}
        for wanted in self.inputs:
            axes.update(zip(wanted.shape, inputs[wanted.name].shape, strict=True))
        for wanted in self.outputs:
            shape = answer[wanted.name].shape
            expected = [axis if isinstance(axis, int) else axes.get(axis) for axis in wanted.shape]
            if len(shape) != len(expected) or any(e not in (None, n) for e, n in zip(expected, shape, strict=True)):
                given = ", ".join(f"{name}{list(array.shape)}" for name, array in inputs.items())
                raise InvalidRequest(
                    f"The model does not take these inputs: {given} makes {wanted.name}{list(shape)}, "
                    f"which should be {wanted}."
                )

    def _borrow(self) -> Any:
        compiled = self._compiled
        if compiled is None:
            raise Unavailable("The engine was closed.", mend="Load the model again.")
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return compiled.create_infer_request()

    def close(self) -> None:
        """Let go of the compiled model and its requests."""
        self._compiled = None
        self._idle = []


def _compile(path: Path, threads: int, precision: str) -> Any:
    """The model, compiled for `threads` threads and arithmetic in `precision`.

    Raises:
        SetupError: OpenVINO is not installed or cannot load the file, or this CPU lacks the arithmetic.
    """
    try:
        import openvino
    except ImportError as error:
        raise SetupError(
            f"{path.name} needs openvino, which is not installed.", mend="pip install 'pixelis-serving[openvino]'"
        ) from error
    core = openvino_core()
    config = {
        "ENABLE_MMAP": False,  # a mapped model.bin would change under the server with its folder
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,  # several processes share few cores
    }
    can = set(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    if precision == "bf16" and "BF16" not in can:
        raise SetupError(
            f"{path.name} computes in bf16, which this CPU cannot.",
            mend=f"It can {', '.join(sorted(can))}: build the model in fp32 or int8.",
        )
    try:
        return core.compile_model(str(path), "CPU", config)
    except RuntimeError as error:
        raise SetupError(
            f"OpenVINO {openvino.__version__.split('-')[0]} cannot load {path.name}: {reason(error)}.",
            mend="Build it again with `pixelis build`, in the environment that serves it.",
        ) from error


def engine_settings(path: Path) -> dict[str, Any]:
    """What `engine.json` at `path` says; nothing where there is none.

    Raises:
        SetupError: it is not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        return json_text.read_object(path)
    except (OSError, ValueError) as error:
        mend = "Build it again with `pixelis build`."
        raise SetupError(f"{path.name} is not a JSON object: {json_text.reason(error)}.", mend=mend) from None


def _describe(port: Any, axes: Mapping[str, list[int | str]]) -> TensorDescription:
    name, kind, shape = port.get_any_name(), port.get_element_type().get_type_name(), port.get_partial_shape()
    if kind not in _DTYPES:
        raise SetupError(f"{name} is a {kind} tensor, which no Triton model here serves.")
    if shape.rank.is_dynamic:
        raise SetupError(f"{name} has no fixed number of axes, which no Triton model here serves.")
    # batches have one name, whatever the file says
    sizes = tuple(dim.get_length() if dim.is_static else f"{name}.{i}" if i else "batch" for i, dim in enumerate(shape))
    named = axes.get(name, [])
    if len(named) == len(sizes):
        sizes = tuple(
            label if isinstance(size, str) and isinstance(label, str) else size
            for size, label in zip(sizes, named, strict=True)
        )
    return TensorDescription(name, np.dtype(_DTYPES[kind]), sizes)


def _failure(error: RuntimeError) -> InvalidRequest | ServingError:
    """A shape that fits the description and not the graph is the caller's fault; the rest is ours."""
    text = str(error)
    if "shape" in text.lower() or "dimension" in text.lower():
        return InvalidRequest(f"The model does not take these inputs: {reason(error)}.")
    return ServingError(f"OpenVINO failed: {reason(error)}.")


def reason(error: RuntimeError) -> str:
    """The innermost line of OpenVINO's that says something: the lines before it are places in OpenVINO's source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from ", "Check '"))] or lines
    return (telling[0] if telling else type(error).__name__).replace('"', "'").rstrip(".!")[:300]
