"""Faults for real ONNX artifacts: each changes the graph at one place, as a broken export would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Change = Callable[[Any], str]
"""Changes a model in place; says at what the first wrong layer can be known: a tensor that it reads or writes."""


def inject(directory: Path, change: Change) -> str:
    """Change `model.onnx` of an artifact in place."""
    import onnx

    model = onnx.load(str(directory / "model.onnx"))
    mark = change(model)
    (directory / "model.onnx").write_bytes(model.SerializeToString())
    return mark


def weight(at: int = 0, change: Callable[[NDArray[np.generic]], None] | None = None) -> Change:
    """One element of a matrix becomes ten times the largest of it; or whatever `change` makes of the matrix.

    Args:
        at: which matrix, in the order of the graph's nodes.
        change: of the matrix `[in, out]`, in place.
    """

    def one(model: Any) -> str:
        name = _matrices(model)[at]
        _edit(model, name, change or _outlier)
        return name

    return one


def constant(name: str, change: Callable[[NDArray[np.generic]], None]) -> Change:
    """A constant becomes whatever `change` makes of it, in place."""

    def one(model: Any) -> str:
        _edit(model, name, change)
        return name

    return one


def _outlier(matrix: NDArray[np.generic]) -> None:
    if matrix.dtype in (np.int8, np.uint8):  # its largest step: as wrong as such a weight can be
        matrix.flat[matrix.size // 2] = -128 if matrix.flat[matrix.size // 2] > 0 and matrix.dtype == np.int8 else 127
        return
    matrix.flat[matrix.size // 2] = 10 * np.abs(matrix).max()


def flipped_channel(matrix: NDArray[np.generic]) -> None:
    """The sign of the channel that weighs most is wrong."""
    column = int(np.abs(matrix.astype(np.float64)).sum(axis=0).argmax())
    turned = -matrix.astype(np.float64)[:, column]
    matrix[:, column] = turned.clip(-128, 127) if matrix.dtype == np.int8 else turned


def table(*beginnings: str) -> Change:
    """Tables whose names begin so are read one row too far."""

    def one(model: Any) -> str:
        names = [w.name for w in model.graph.initializer if w.name.startswith(beginnings) and w.dims[-2:] != [1]]
        for name in names:
            _edit(model, name, _roll)
        return names[0]

    return one


def _roll(array: NDArray[np.generic]) -> None:
    array[...] = np.roll(array, -1, axis=-2)


def scaled(output: str, factor: float) -> Change:
    """An output is multiplied by `factor`."""

    def one(model: Any) -> str:
        from onnx import helper, numpy_helper

        inner = f"{output}_unscaled"
        _rename(model, output, inner)
        model.graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float32), "factor"))
        model.graph.node.append(helper.make_node("Mul", [inner, "factor"], [output], name="scaled"))
        return output

    return one


def swapped(one_output: str, other: str) -> Change:
    """Two outputs have each other's name."""

    def one(model: Any) -> str:
        _rename(model, one_output, "between")
        _rename(model, other, one_output)
        _rename(model, "between", other)
        declared = {value.name: value for value in model.graph.output}
        declared[one_output].name, declared[other].name = other, one_output
        return one_output

    return one


def _rename(model: Any, old: str, new: str) -> None:
    for node in model.graph.node:
        for field in (node.input, node.output):
            for i, name in enumerate(field):
                if name == old:
                    field[i] = new


def shifted(name: str, by: int, lengths: Callable[[Any], str] | None = None) -> Change:
    """An integer input counts from another number.

    Args:
        name: the input.
        by: what is added to it.
        lengths: adds nodes that say where (a factor of 0 or 1) and returns their output; everywhere by default.
    """

    def one(model: Any) -> str:
        from onnx import helper, numpy_helper

        inner = f"{name}_shifted"
        first = len(model.graph.node)
        for node in model.graph.node:
            for i, read in enumerate(node.input):
                if read == name:
                    node.input[i] = inner
        model.graph.initializer.append(numpy_helper.from_array(np.array(by, np.int64), f"{name}_by"))
        amount = f"{name}_by"
        if lengths is not None:
            where = lengths(model)
            model.graph.node.append(helper.make_node("Mul", [amount, where], [f"{name}_amount"]))
            amount = f"{name}_amount"
        model.graph.node.append(helper.make_node("Add", [name, amount], [inner]))
        _to_front(model, first)
        return inner

    return one


def while_decoding(model: Any) -> str:
    """1 where a step reads a single token, 0 for a prompt."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one_token"))
    graph.node.append(helper.make_node("Shape", ["inputs_embeds"], ["embeds_shape"], start=1, end=2))
    graph.node.append(helper.make_node("Equal", ["embeds_shape", "one_token"], ["is_step"]))
    graph.node.append(helper.make_node("Cast", ["is_step"], ["step"], to=TensorProto.INT64))
    return "step"


def _to_front(model: Any, first: int) -> None:
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[first:], *nodes[:first]])


def _matrices(model: Any) -> list[str]:
    """Initializers of two dimensions that a multiplication reads, in the order of the nodes."""
    sizes = {w.name: tuple(w.dims) for w in model.graph.initializer}
    kinds = ("MatMul", "Gemm", "MatMulInteger", "MatMulIntegerToFloat")
    reads = [name for node in model.graph.node if node.op_type in kinds for name in node.input]
    packed = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    names = [packed.get(name, name) for name in reads]
    return list(dict.fromkeys(name for name in names if len(sizes.get(name, ())) == 2 and min(sizes[name]) > 1))


def _edit(model: Any, name: str, change: Callable[[NDArray[np.generic]], None]) -> None:
    from onnx import numpy_helper

    held = next(w for w in model.graph.initializer if w.name == name)
    array = numpy_helper.to_array(held).copy()
    change(array)
    held.CopyFrom(numpy_helper.from_array(array, name))


INDEXING = ("Unsqueeze",)


def blamed(suspect: Path, reference: Path, tensor: str) -> set[str]:
    """Names of the nodes that may be held to account for `tensor`: those that read or write it, and, where they make
    something that the fp32 graph does not know (integers, scales), or indexes, which are not compared, those that make
    floats of that again."""
    import onnx

    known = {name for node in onnx.load(str(reference)).graph.node for name in node.output}
    graph = onnx.load(str(suspect)).graph
    names, reached = set(), {tensor}
    for node in graph.node:
        if tensor in node.output or reached & set(node.input):
            names.add(node.name or node.output[0])
            reached |= {output for output in node.output if output not in known or node.op_type in INDEXING}
    return names
