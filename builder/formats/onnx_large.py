"""Graphs whose weights are too many for one file of protobuf, or for memory twice: they lie in files beside it.

A matrix that the exporter left to be turned at load is turned here, once: ONNX Runtime would keep a turned copy of it,
where one that lies as it is multiplied by is mapped from its file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from builder.formats.onnx_store import ExternalStore

OUTSIDE = 1 << 28
"""Bytes of weights from which they lie outside: inside, they are in memory several times while they are written."""
MAPPED = 1 << 30
"""Bytes of weights from which they are left in their files when they are loaded."""
SMALL = 4096
"""Bytes of a constant that stays in the graph."""
SLICE = 16 << 20
"""Numbers of a matrix that are turned at once."""


def weight_bytes(model: ir.Model) -> int:
    """Of all constants."""
    return sum(_constant(value).nbytes for value in model.graph.initializers.values())


def save_large(model: ir.Model, path: Path) -> None:
    """Write a graph, and its weights in files of 1 GiB beside it; memory for a part of one of them is enough.

    Like `onnx.save`, it leaves out stack traces and source paths.
    """
    turned = _turned(model.graph)
    with ExternalStore(path.parent) as store:
        for name, value in model.graph.initializers.items():
            tensor = _constant(value)
            if tensor.nbytes <= SMALL:
                value.const_value = ir.Tensor(np.array(tensor.numpy()), name=name)
                continue
            dtype, shape = tensor.dtype.numpy(), tuple(tensor.shape.numpy())
            value.const_value = store.put(
                name, dtype, shape[::-1] if name in turned else shape, _parts(tensor, name in turned)
            )
            if name in turned:
                value.shape = ir.Shape(shape[::-1])
    for node in model.graph:
        node.doc_string = ""
        node.metadata_props.clear()
        for output in node.outputs:
            output.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()
    model.graph.doc_string = model.doc_string = ""
    model.producer_version = ""
    ir.save(model, path)


def fold_large(path: Path) -> list[str]:
    """Fold small constants of the graph at `path`, whose weights lie beside it and stay as they are.

    Returns:
        what was done, in words for the manifest.
    """
    from onnxscript import optimizer

    model = ir.load(path)
    before = model.graph.num_nodes()
    optimizer.optimize(model, num_iterations=2, onnx_shape_inference=False)
    after = model.graph.num_nodes()
    if after < before:
        ir.save(model, path)
    outside = [
        one for value in model.graph.initializers.values() if isinstance(one := value.const_value, ir.ExternalTensor)
    ]
    files, size = {one.location for one in outside}, sum(one.nbytes for one in outside)
    return [
        f"onnxscript.optimizer: constants folded, identities dropped ({before} -> {min(before, after)} nodes)",
        f"{size / (1 << 20):.0f} MiB of weights in {len(files)} files beside the graph",
    ]


def leave_mapped(settings: Path) -> str:
    """Have the engine leave matrices in their files; what was done, in words for the manifest.

    Args:
        settings: the engine's file beside the graph.
    """
    settings.write_text(json.dumps({"prepack": False}) + "\n", encoding="utf-8")
    return "loaded without a copy of its matrices: they are mapped"


def _turned(graph: ir.Graph) -> set[str]:
    """Names of the matrices that will be written turned, after the nodes that turn them are gone."""
    names = set()
    for name, value in graph.initializers.items():
        readers = [node for node, _ in value.uses()]
        if not readers or value.is_graph_output() or any(not _turns(node) for node in readers):
            continue
        for node in readers:
            node.outputs[0].replace_all_uses_with(value)
            graph.remove(node, safe=True)
        names.add(name)
    return names


def _turns(node: ir.Node) -> bool:
    """Whether it swaps the two axes of a matrix, and nothing else."""
    axes = node.attributes.get("perm")
    made = node.outputs[0]
    return (
        node.op_type == "Transpose"
        and axes is not None
        and list(axes.as_ints()) == [1, 0]
        and not made.is_graph_output()
    )


def _constant(value: ir.Value) -> ir.TensorProtocol:
    if value.const_value is None:
        raise ValueError(f"{value.name} has no value")
    return value.const_value


def _parts(tensor: ir.TensorProtocol, turned: bool) -> Iterator[NDArray[Any]]:
    """Its bytes in C order, turned where that is asked for."""
    whole = tensor.numpy()
    if not turned:
        yield whole
        return
    step = max(SLICE // len(whole), 1)
    for start in range(0, whole.shape[1], step):
        yield np.ascontiguousarray(whole[:, start : start + step].T)
