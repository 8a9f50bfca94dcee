"""ONNX weights and arithmetic in half precision; what a caller sees stays FP32."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixelis.errors import BuildError

SENSITIVE = ("ReduceMean", "ReduceSum", "ReduceSumSquare", "Pow", "Sqrt", "Reciprocal", "LayerNormalization", "Softmax")
"""Operators that stay in single precision: sums of squares and exponentials leave the range of fp16 first."""


def to_half(path: Path, nodes: Sequence[str] = (), shrunk: Sequence[str] = ()) -> list[str]:
    """Rewrite the graph at `path` in fp16; inputs and outputs keep their types.

    Args:
        path: an fp32 graph.
        nodes: names of nodes that stay in fp32, besides those of the types `SENSITIVE`.
        shrunk: inputs and outputs that become fp16 too: a cache, which nobody outside reads.

    Returns:
        what was done, in words for the manifest.

    Raises:
        BuildError: no weight became smaller, so that it would be fp32 under another name.
    """
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    from builder.formats.onnx import save

    model = onnx.load(str(path))
    blocked = sorted({*DEFAULT_OP_BLOCK_LIST, *SENSITIVE})
    outside = [value.name for value in (*model.graph.input, *model.graph.output) if value.name not in shrunk]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each weight below fp16's smallest number is a warning; the gate judges them
        half = convert_float_to_float16(
            model, keep_io_types=outside, op_block_list=blocked, node_block_list=list(nodes)
        )
    small = _of_type(half, onnx.TensorProto.FLOAT16)
    if not small:
        raise BuildError(f"{path.name} has no weight that fp16 makes smaller.", mend="Build it as fp32.")
    OnnxModel.graph_topological_sort(half.graph)  # the converter appends its casts
    save(half, path)
    left = sum(node.op_type in blocked or node.name in nodes for node in half.graph.node)
    return [f"convert_float_to_float16: {small} weights in fp16, {left} nodes left in fp32, fp32 inputs and outputs"]


def _of_type(model: Any, dtype: int) -> int:
    return sum(weight.data_type == dtype for weight in model.graph.initializer)
