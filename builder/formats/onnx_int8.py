"""ONNX with int8 weights and activations, through ONNX Runtime's quantiser.

Dynamic: scales of activations are found at every run. Static: they come from calibration, as pairs of QuantizeLinear
and DequantizeLinear (QDQ), which ONNX Runtime fuses into integer kernels at load.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from builder.formats.onnx_nodes import chosen_nodes
from builder.formats.onnx_samples import Reader
from builder.formats.onnx_tables import shrink_tables
from builder.optimization import OptimizationConfig
from builder.sources.base import Tensors
from pixelis.errors import BuildError

DYNAMIC = ("MatMul", "Gemm", "Conv")
"""Operators that have an integer kernel with scales found at run time."""
STATIC = ("MatMul", "Gemm", "Conv", "Clip", "Relu")
"""Products, and the activations that are folded into them. Sums between QuantizeLinear and DequantizeLinear are a
quarter faster on EfficientNet-Lite0 and cost OCR detection most of its cosine (0.94 to 0.81): they stay in fp32."""

PER_CHANNEL_OPSET = 13


def quantise_dynamic(path: Path, config: OptimizationConfig) -> list[str]:
    """Give the fp32 graph at `path` int8 weights, and activations that are quantised at run time.

    Returns:
        what was done, in words for the manifest.

    Raises:
        BuildError: a node to be left out does not exist, or nothing could be quantised.
    """
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    operators, left = choose(path, DYNAMIC, config)
    with _scratch(path) as out, quiet():
        quantize_dynamic(
            str(path),
            str(out),
            op_types_to_quantize=operators,
            per_channel=config.per_channel,
            weight_type=_type(config.weights),
            nodes_to_exclude=left,
            # what follows ONNX Runtime's own operators has no inferred type
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        count = _finish(out, path, ("MatMulInteger", "ConvInteger"))
    tables = shrink_tables(path)
    words = f"{_words(config, operators)}, {count} operators on integers, {len(left) // 2} nodes left in fp32"
    return [f"quantize_dynamic: {words}", *tables]


def quantise_static(
    path: Path, config: OptimizationConfig, samples: Sequence[Tensors], tables: bool = True
) -> list[str]:
    """Give the fp32 graph at `path` int8 weights and activations, whose ranges come from `samples`.

    Args:
        path: the graph.
        config: its options.
        samples: calibration data.
        tables: whether embedding tables become int8 too.

    Returns:
        what was done, in words for the manifest.

    Raises:
        BuildError: calibration data that is empty or does not fit the graph, a node to be left out that does not
            exist, or nothing that could be quantised.
    """
    from onnxruntime.quantization import QuantFormat, quantize_static

    operators, left = choose(path, STATIC, config)
    raised = raise_opset(path)
    reader = Reader(path, samples, config.calibration_samples)
    with _scratch(path) as out, quiet():
        quantize_static(
            str(path),
            str(out),
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=operators,
            per_channel=config.per_channel,
            weight_type=_type(config.weights),
            activation_type=_type(config.activations),
            nodes_to_exclude=left,
            extra_options={"MatMulConstBOnly": True, "ActivationSymmetric": config.activations == "QInt8"},
        )
        count = _finish(out, path, ("QuantizeLinear",))
    shrunk = shrink_tables(path) if tables else []
    words = f"{_words(config, operators)}, activations {config.activations}, {reader.count} samples"
    words += f", {count} tensors quantised, {len(left) // 2} nodes left in fp32"
    return [f"quantize_static: QDQ, {words}", *shrunk, *raised]


def choose(path: Path, known: Sequence[str], config: OptimizationConfig) -> tuple[list[str], list[str]]:
    """Operator types to quantise, sorted, and names of nodes to leave out, checked against the graph."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    left = chosen_nodes(graph, config.exclude_nodes)
    operators = sorted(set(known) - set(config.exclude_operators))
    if not any(node.op_type in operators for node in graph.node):
        raise BuildError(
            f"{path.name} has no operator that could be quantised.", mend=f"Those are {', '.join(operators)}."
        )
    # The quantiser turns a Gemm into a MatMul of another name before it looks at names.
    return operators, sorted(name + end for name in left for end in ("", "_MatMul"))


def raise_opset(path: Path) -> list[str]:
    """Before operator set 13, QuantizeLinear had one scale for the whole tensor."""
    import onnx
    from onnx import version_converter

    from builder.formats.onnx import save

    model = onnx.load(str(path))
    before = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if before >= PER_CHANNEL_OPSET:
        return []
    save(version_converter.convert_version(model, PER_CHANNEL_OPSET), path)
    return [f"operator set {before} -> {PER_CHANNEL_OPSET}"]


@contextlib.contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A file for what the quantiser writes, in a folder that ends with the context; intermediates land there too."""
    with tempfile.TemporaryDirectory(prefix=".quantise-", dir=path.parent) as folder:
        yield Path(folder) / "quantised.onnx"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the quantiser's advice to run a pre-processing that the builder has done in its own way."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _finish(made: Path, path: Path, counted: Sequence[str]) -> int:
    """Write the quantised graph over the fp32 one, without the quantiser's marks; how many nodes are of `counted`."""
    import onnx

    from builder.formats.onnx import save

    model = onnx.load(str(made))
    count = sum(node.op_type in counted for node in model.graph.node)
    if not count:
        raise BuildError(f"{path.name}: the quantiser changed nothing.", mend="Leave fewer nodes and operators out.")
    save(model, path)
    return count


def _type(name: str) -> Any:
    from onnxruntime.quantization import QuantType

    return getattr(QuantType, name)


def _words(config: OptimizationConfig, operators: Sequence[str]) -> str:
    how = "per-channel" if config.per_channel else "per-tensor"
    return f"{', '.join(operators)}, {how}, weights {config.weights}"
