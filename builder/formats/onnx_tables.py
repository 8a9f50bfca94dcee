"""Embedding tables of an ONNX graph as int8 rows, each with a scale of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

LEAST_ROWS = 256
"""A table with fewer rows is not worth it."""


def shrink_tables(path: Path) -> list[str]:
    """Store the tables of the graph at `path` as int8; a row that is looked up is made fp32 again.

    Returns:
        what was done, in words for the manifest; empty where there is no table.
    """
    import onnx
    from onnx import TensorProto, numpy_helper

    from builder.formats.onnx import save

    model = onnx.load(str(path))
    graph, done = model.graph, []
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    for weight in list(graph.initializer):
        name, lookups = weight.name, users.get(weight.name, [])
        if weight.data_type != TensorProto.FLOAT or len(weight.dims) != 2 or weight.dims[0] < LEAST_ROWS:
            continue
        if not lookups or any(node.op_type != "Gather" or node.input[0] != name or _axis(node) for node in lookups):
            continue
        small, scale = rows_as_int8(numpy_helper.to_array(weight))
        graph.initializer.remove(weight)
        graph.initializer.append(numpy_helper.from_array(small, f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        for node in lookups:
            _replace(graph, node, name)
        done.append(f"{name}: {len(small)} rows of int8 with a scale each")
    if done:
        save(model, path)
    return done


def rows_as_int8(table: Any) -> tuple[Any, Any]:
    """`table [n, d]` as int8 `[n, d]` and scales FP32 `[n, 1]`, whose product it is."""
    largest = np.abs(table).max(axis=1, keepdims=True) / 127.0
    scale = np.maximum(largest, np.finfo(np.float32).tiny).astype(np.float32)
    return np.clip(np.rint(table / scale), -127, 127).astype(np.int8), scale


def _replace(graph: Any, node: Any, table: str) -> None:
    """`Gather(table, ids)` by `Cast(Gather(int8, ids)) * Gather(scale, ids)`."""
    from onnx import TensorProto, helper

    ids, out = node.input[1], node.output[0]
    at = list(graph.node).index(node)
    graph.node.remove(node)
    made = [
        helper.make_node("Gather", [f"{table}_int8", ids], [f"{out}_int8"], name=f"{node.name}_int8"),
        helper.make_node("Cast", [f"{out}_int8"], [f"{out}_float"], name=f"{node.name}_float", to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{table}_scale", ids], [f"{out}_scale"], name=f"{node.name}_scale"),
        helper.make_node("Mul", [f"{out}_float", f"{out}_scale"], [out], name=f"{node.name}_rows"),
    ]
    for offset, new in enumerate(made):
        graph.node.insert(at + offset, new)


def _axis(node: Any) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 0)
