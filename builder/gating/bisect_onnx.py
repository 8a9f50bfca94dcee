"""The first wrong node of an ONNX graph, by the tensors that it shares with the fp32 graph of the same source.

Quantising and converting keep the names of float tensors, so each one can be compared. The graph under suspicion is run
twice: as it is, and cut open at every shared tensor, so that each piece reads what the fp32 graph computed there. What
a piece gets wrong on right inputs is its own error; what comes in is not held against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from builder.gating.verdict import WrongLayer
from builder.sources.base import Tensors
from builder.tolerance import TOLERANCES, Precision

if TYPE_CHECKING:
    import onnx

OWN_ERROR: dict[Precision, float] = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 3e-2, "int8": 0.05, "int4": 0.2, "none": 0.0}
"""Relative error (of lengths) that a node of a healthy graph stays below on right inputs."""
_OWN = "pixelis_own/"
_ZERO_POINT = {"MatMulInteger": 3, "MatMulIntegerToFloat": 5, "DynamicQuantizeMatMul": 3}
"""Where among the inputs of a product of integers the zero point of its matrix is."""
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


@dataclass(frozen=True)
class _Node:
    """A node with shared outputs: what of its error came in, what it makes itself (error and scale), what goes out."""

    name: str
    operator: str
    before: float
    own: float
    scale: float
    after: float


def first_wrong_node(reference: Path, suspect: Path, feeds: Tensors, precision: Precision) -> WrongLayer:
    """Where `suspect` begins to differ from `reference` on `feeds`.

    Args:
        reference: the fp32 graph.
        suspect: the graph under suspicion.
        feeds: inputs that both take.
        precision: of the suspect; says how much error a healthy node has.

    Returns:
        The first node, in the graph's order, whose own error or scale is more than a healthy one's; else the one with
        the largest error of its own, if that explains what comes out; else why there is none.
    """
    import onnx

    right = _run(_exposed(onnx.load(str(reference))), feeds)
    model = onnx.load(str(suspect))
    found = _run(_exposed(model), feeds)
    shared = {name for name, value in found.items() if name in right and right[name].shape == value.shape}
    produced = {output for node in model.graph.node for output in node.output}
    if len(shared & produced) < 2:
        return WrongLayer(note="the graph has no float tensor in common with the fp32 graph of its source")
    # With the opened graph each shared tensor is read from the fp32 run.
    own = _run(_opened(model, shared & produced, found), {**feeds, **_typed(right, found, shared & produced)})
    nodes = list(_nodes(model.graph, right, found, own, shared))
    note = f"{len(nodes)} nodes were compared, each on the fp32 graph's inputs"
    limit, turned = OWN_ERROR[precision], TOLERANCES[precision].scale
    for node in nodes:
        if not (node.own <= limit and node.scale <= turned):
            return _wrong(node, note)
    worst = max(nodes, key=lambda node: node.own)
    if worst.own > limit / 10:
        return _wrong(worst, f"{note}; no single one is clearly wrong, this one is the worst")
    return WrongLayer(note=f"{note}, and none differs: the graph does what a fresh fp32 export of its source does")


def _nodes(graph: onnx.GraphProto, right: Tensors, found: Tensors, own: Tensors, shared: set[str]) -> Iterator[_Node]:
    """Every node that makes a shared tensor; errors of tensors that are not shared are those of what made them."""
    errors: dict[str, float] = {}
    for node in graph.node:
        before = max((errors.get(name, 0.0) for name in node.input), default=0.0)
        outputs = [name for name in node.output if name in shared]
        after = max((relative(found[name], right[name]) for name in outputs), default=before)
        errors.update(dict.fromkeys(node.output, after))
        if outputs:
            mine = max(relative(own[_OWN + name], right[name]) for name in outputs)
            scale = max(_scale(own[_OWN + name], right[name]) for name in outputs)
            yield _Node(node.name or outputs[0], node.op_type, before, mine, scale, after)


def relative(answer: NDArray[np.generic], reference: NDArray[np.generic]) -> float:
    """Length of the error as a share of the reference's length; infinite where the answer is not finite."""
    a, r = answer.astype(np.float64), reference.astype(np.float64)
    # Masks hold the lowest float: it says "nothing here", and would drown every other number.
    kept = np.abs(r) < 1e30
    if not np.isfinite(a[kept]).all():
        return float("inf")
    length = float(np.linalg.norm(r[kept]))
    error = float(np.linalg.norm(a[kept] - r[kept]))
    return error / length if length > 0 else (float("inf") if error > 0 else 0.0)


def _scale(answer: NDArray[np.generic], reference: NDArray[np.generic]) -> float:
    """How far the least-squares slope of answer against reference is from 1; NaN where something is not finite."""
    a, r = answer.astype(np.float64), reference.astype(np.float64)
    kept = np.abs(r) < 1e30
    energy = float((r[kept] ** 2).sum())
    return abs(float((a[kept] * r[kept]).sum()) / energy - 1) if energy > 0 else 0.0


def _wrong(node: _Node, note: str) -> WrongLayer:
    """JSON has no infinity: 1e9 stands for it."""
    before, after = min(node.before, 1e9), min(node.after, 1e9)
    return WrongLayer(node=node.name, operator=node.operator, before=before, after=after, note=note)


def _exposed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with every tensor among its outputs."""
    import onnx

    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    known = {value.name for value in bare.graph.output}
    names = [name for node in bare.graph.node for name in node.output if name and name not in known]
    bare.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names))
    return bare


def _opened(model: onnx.ModelProto, cuts: set[str], found: Tensors) -> onnx.ModelProto:
    """The graph in which every tensor of `cuts` is an input, and what made it writes to a name of its own."""
    from onnx import helper

    opened = _exposed(model)
    del opened.graph.output[:]
    del opened.graph.value_info[:]
    for node in opened.graph.node:
        for i, name in enumerate(node.output):
            if name in cuts:
                node.output[i] = _OWN + name
                opened.graph.output.append(helper.make_empty_tensor_value_info(_OWN + name))
    for name in sorted(cuts):
        kind = helper.np_dtype_to_tensor_dtype(found[name].dtype)
        opened.graph.input.append(helper.make_tensor_value_info(name, kind, list(found[name].shape)))
    return opened


def _run(model: onnx.ModelProto, feeds: Mapping[str, NDArray[np.generic]]) -> Tensors:
    """Float outputs of a graph, run node by node as it is written."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = _unsigned(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    wanted = [node.name for node in session.get_outputs() if node.type in _FLOATS]
    taken = {node.name for node in session.get_inputs()}
    answers = session.run(wanted, {name: value for name, value in feeds.items() if name in taken})
    return {name: value for name, value in zip(wanted, answers, strict=True) if isinstance(value, np.ndarray)}


def _unsigned(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with matrices of uint8 in place of int8, and equal products.

    Some CPUs add pairs of products with int8 in 16 bits, which cuts the largest. Where a graph is served, a pass
    at load mends this (`onnxruntime_engine.WIDE`); it does not run where every node runs as it is written.
    """
    import onnx
    from onnx import numpy_helper

    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    graph = wide.graph
    known = {weight.name: weight for weight in graph.initializer}
    for node in graph.node:
        place = _ZERO_POINT.get(node.op_type)
        matrix = known.get(node.input[1]) if place else None
        if place is None or matrix is None or matrix.data_type != onnx.TensorProto.INT8:
            continue
        node.input.extend([""] * (place + 1 - len(node.input)))
        zero = numpy_helper.to_array(known[node.input[place]]) if node.input[place] in known else np.int8(0)
        for at, values in ((1, numpy_helper.to_array(matrix)), (place, zero)):
            name = f"{node.name or node.output[0]}/unsigned{at}"
            moved = (np.asarray(values).astype(np.int16) + 128).astype(np.uint8)
            graph.initializer.append(numpy_helper.from_array(moved, name))
            node.input[at] = name
    return wide


def _typed(right: Tensors, found: Tensors, names: set[str]) -> Tensors:
    return {name: np.ascontiguousarray(right[name].astype(found[name].dtype)) for name in names}
