"""A graph in the making: nodes, inputs and weights, with the names that onnxruntime-genai's builder gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

OPSET, FUSED = 22, "com.microsoft"
"""Operator set of the graph, and the domain of ONNX Runtime's own operators."""
Axes = Sequence[int | str]


class Nodes:
    """What a graph will be made of, in the order of its nodes.

    Attributes:
        inputs: of the graph.
        outputs: of the graph.
    """

    def __init__(self) -> None:
        self._nodes: list[ir.Node] = []
        self._constants: dict[str, ir.Value] = {}
        self.inputs: list[ir.Value] = []
        self.outputs: list[ir.Value] = []

    @property
    def names(self) -> set[str]:
        """Of the nodes."""
        return {node.name or "" for node in self._nodes}

    def input(self, name: str, dtype: ir.DataType, axes: Axes) -> ir.Value:
        """A new input of the graph."""
        value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(axes))
        self.inputs.append(value)
        return value

    def output(self, value: ir.Value, name: str, dtype: ir.DataType, axes: Axes) -> None:
        """Make `value` an output of the graph, of that name."""
        value.name, value.type, value.shape = name, ir.TensorType(dtype), ir.Shape(axes)
        self.outputs.append(value)

    def weight(self, tensor: ir.TensorProtocol) -> ir.Value:
        """An initialiser; the same one where there is one of that name."""
        name = tensor.name or ""
        if name not in self._constants:
            shape, kind = ir.Shape(tensor.shape.numpy()), ir.TensorType(tensor.dtype)
            self._constants[name] = ir.Value(name=name, shape=shape, type=kind, const_value=tensor)
        return self._constants[name]

    def integers(self, *numbers: int) -> ir.Value:
        """INT64 `[n]`."""
        return self.weight(ir.tensor(np.array(numbers, np.int64), name=f"/model/constants/INT64/{list(numbers)}"))

    def node(
        self, kind: str, name: str, inputs: Sequence[ir.Value | None], *, domain: str = "", **attributes: Any
    ) -> ir.Value:
        """A new node's only output."""
        return self.several(kind, name, inputs, (f"{name}/output_0",), domain=domain, **attributes)[0]

    def several(
        self,
        kind: str,
        name: str,
        inputs: Sequence[ir.Value | None],
        outputs: Sequence[str],
        *,
        domain: str = "",
        **attributes: Any,
    ) -> Sequence[ir.Value]:
        """A new node's outputs; one without a name is not made."""
        values = [ir.Value(name=output) for output in outputs]
        node = ir.node(kind, inputs, attributes, domain=domain, outputs=values, name=name)
        self._nodes.append(node)
        return node.outputs

    def save(self, path: Path) -> None:
        """Write the graph; weights in files stay where they are."""
        graph = ir.Graph(
            self.inputs,
            self.outputs,
            nodes=self._nodes,
            initializers=tuple(self._constants.values()),
            opset_imports={"": OPSET, FUSED: 1},
            name="main_graph",
        )
        ir.save(ir.Model(graph, ir_version=10, producer_name="pixelis"), path)
