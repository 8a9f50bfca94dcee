"""The OpenVINO format: `model.xml` and `model.bin`, from the source's ONNX graph or its own OpenVINO graph.

What a precision means here: `fp16` are weights stored in half the bytes, widened when the model is loaded; `bf16` is
the fp32 file with arithmetic in bfloat16; `int8` static are NNCF's quantised operators with ranges from the source's
calibration samples; `int8` weights are stored in int8 and widened when they are used. Tensors keep names and types.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from builder.candidate import Candidate
from builder.formats.base import Description, Format, TensorInfo
from builder.formats.onnx_samples import Reader
from builder.formats.openvino_errors import conversion_failure
from builder.formats.openvino_file import axis_names, name_nodes, numbers, save
from builder.formats.openvino_quantise import compress, left_out, quantise
from builder.formats.openvino_saturation import SEVEN_BITS, saturates
from builder.sources.base import Source
from pixelis.errors import BuildError
from python_backends.engine.openvino_core import openvino_core

XML = "model.xml"
ENGINE = "engine.json"
ONNX = "model.onnx"
OWN = "written by the source, operator by operator; paged attention takes the attention's place at load"
KNOWN = {"exclude_nodes", "exclude_operators", "calibration_samples", "activations", "per_channel", "autocast"}
"""Settings of `OptimizationConfig` that mean something here."""
_TRITON = {"f32": "FP32", "f16": "FP16", "bf16": "BF16", "u8": "UINT8", "i8": "INT8", "i32": "INT32", "i64": "INT64"}


class OpenVinoFormat(Format):
    """ONNX -> `openvino.convert_model` -> NNCF where it is int8 -> `model.xml`."""

    name = "openvino"
    file = XML
    extra = "openvino"
    packages = ("openvino", "nncf")

    def __init__(self) -> None:
        self._own = False

    def _export(self, source: Source, directory: Path, candidate: Candidate) -> None:
        """The model in fp32, the axes' names, and the source's other files; `optimise` does the rest."""
        self._check(candidate)
        left: list[Any] = []
        axes: dict[str, list[int | str]] = {}
        model = source.openvino_model(directory, candidate)
        self._own = model is not None
        if model is None:
            model, left, axes = self._converted(source, directory, candidate)
        elif candidate.quantization == "static" or candidate.optimization.exclude_nodes:
            raise BuildError(
                f"`{source.name}` writes its OpenVINO graph itself: it has no static scales and no nodes of ONNX.",
                mend="Build it as int8 weights, without `exclude_nodes`.",
            )
        if candidate.quantization == "weights":
            model = compress(model, candidate.optimization, left)
        save(model, directory / XML, half=candidate.precision == "fp16")
        arithmetic = "bf16" if "bf16" in (candidate.precision, candidate.optimization.autocast) else "f32"
        settings = {"inference_precision": arithmetic, "axes": axes}
        (directory / ENGINE).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def _converted(
        self, source: Source, directory: Path, candidate: Candidate
    ) -> tuple[Any, list[Any], dict[str, list[int | str]]]:
        """The source's ONNX graph, converted; nodes that stay in fp32, and the axes' names."""
        import openvino

        with tempfile.TemporaryDirectory(prefix="pixelis-openvino-") as scratch:
            source.export_onnx(Path(scratch))
            graph = Path(scratch) / ONNX
            try:
                with _logging_kept():
                    model = openvino.convert_model(str(graph))
            except openvino.frontend.OpConversionFailure as error:
                raise conversion_failure(source.name, graph, str(error)) from error
            left = left_out(model, graph, candidate.optimization)
            name_nodes(model)
            axes = axis_names(graph)
            for path in Path(scratch).iterdir():
                if path.is_file() and not path.name.startswith(ONNX):
                    shutil.copyfile(path, directory / path.name)
            if candidate.quantization == "static":
                samples = Reader(graph, source.calibration(), candidate.optimization.calibration_samples)
                model = quantise(model, list(samples), candidate.optimization, left)
        return model, left, axes

    def _check(self, candidate: Candidate) -> None:
        """What this format or this machine cannot do is refused.

        Raises:
            BuildError: a precision or a setting; it lists what there is.
        """
        can = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if "bf16" in (candidate.precision, candidate.optimization.autocast) and "BF16" not in can:
            raise BuildError("This CPU cannot compute in bf16.", mend=f"It can {', '.join(sorted(can))}.")
        if candidate.precision == "int4" or candidate.quantization == "dynamic":
            raise BuildError(
                f"OpenVINO models are not made as {candidate.label}.",
                mend="There are fp32, fp16, bf16, int8 static and int8 weights.",
            )
        unknown = sorted(candidate.optimization.changed().keys() - KNOWN)
        if unknown:
            raise BuildError(
                f"{', '.join(unknown)} mean nothing to OpenVINO.", mend=f"It knows {', '.join(sorted(KNOWN))}."
            )

    def optimise(self, directory: Path, candidate: Candidate) -> list[str]:
        """What was done on the way; the graph is rewritten once more at every load, for the CPU that it meets."""
        done = [OWN if self._own else "openvino.convert_model: constants folded, common fusions"]
        kinds = numbers(_read(directory))
        if candidate.precision == "fp16":
            done.append("weights stored in fp16; widened to fp32 at load, so the file is small and memory is not")
        if candidate.precision == "bf16":
            done.append("arithmetic in bfloat16 (INFERENCE_PRECISION_HINT); the file is the one of fp32")
        if candidate.optimization.autocast == "bf16":
            done.append("arithmetic in bfloat16 (INFERENCE_PRECISION_HINT), a decoder's cache with it")
        if candidate.precision == "int8":
            method = {
                "static": "nncf.quantize, ranges from calibration samples",
                "weights": "nncf.compress_weights, int8 asymmetric, a scale a channel",
            }[candidate.quantization]
            done.append(f"{method}: {kinds.small} of {kinds.weights} weights in int8")
            done += [SEVEN_BITS] if candidate.quantization == "static" and saturates() else []
            kept = (*candidate.optimization.exclude_nodes, *candidate.optimization.exclude_operators)
            done += [f"left in fp32: {', '.join(kept)}"] if kept else []
        return [*done, "CPU plugin: its own fusions and weight layouts at load, not in the file"]

    def describe(self, directory: Path) -> Description:
        """Names, types and dimensions, read from the model."""
        model = _read(directory)
        kinds = numbers(model)
        return Description(
            inputs=tuple(_tensor(port) for port in model.inputs),
            outputs=tuple(_tensor(port) for port in model.outputs),
            nodes=sum(node.get_type_name() not in ("Constant", "Parameter", "Result") for node in model.get_ops()),
            parameters=kinds.weights,
            weight_bytes=kinds.bytes,
            size_bytes=sum((directory / name).stat().st_size for name in (XML, "model.bin")),
            notes={"arithmetic": json.loads((directory / ENGINE).read_text(encoding="utf-8"))["inference_precision"]},
        )


def _read(directory: Path) -> Any:
    return openvino_core().read_model(str(directory / XML))


def _tensor(port: Any) -> TensorInfo:
    kind = port.get_element_type().get_type_name()
    dims = tuple(-1 if dim.is_dynamic else dim.get_length() for dim in port.get_partial_shape())
    return TensorInfo(port.get_any_name(), _TRITON.get(kind, kind.upper()), dims)


@contextmanager
def _logging_kept() -> Iterator[None]:
    """OpenVINO's converter sets the root logger's level and filter, and after a failure leaves them so."""
    root = logging.getLogger()
    level, filters = root.level, list(root.filters)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:] = filters
