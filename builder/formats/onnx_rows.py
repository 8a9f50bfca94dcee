"""ONNX with int8 weights, and activations in int8 with a scale for every row.

ONNX Runtime's own dynamic quantisation finds one scale for a whole activation, so a request's answer changes with its
company in the batch, and one outlier costs every token its precision. Here each row (each token) has its own scale,
max |x| / 127; weights have one for each output channel (the scheme of LLM.int8(), arXiv 2208.07339, section 2.1,
without its outlier columns). The product runs on ONNX Runtime's integer kernel.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from builder.optimization import OptimizationConfig
from pixelis.errors import BuildError

if TYPE_CHECKING:
    import onnx

PREFIX = "pixelis_rows"
LEVELS = 127
"""Of a symmetric int8; rows are moved by 128 into uint8, for which processors with VNNI have the faster kernel."""


def quantise_rows(path: Path, config: OptimizationConfig) -> list[str]:
    """Replace every product of the fp32 graph at `path` with a constant matrix by one of integers.

    Args:
        path: the graph, changed in place.
        config: `exclude_nodes` are left in fp32; weights are QInt8 by output channel.

    Returns:
        what was done, in words for the manifest.

    Raises:
        BuildError: a node to be left out does not exist, there is no product with a constant matrix, or an option that
            scales by row do not have.
    """
    import onnx
    from onnx import helper, numpy_helper

    from builder.formats.onnx import save
    from builder.formats.onnx_nodes import chosen_nodes

    model = onnx.load(str(path))
    graph = model.graph
    idle = config.changed().keys() & {"weights", "per_channel", "exclude_operators"}
    if idle:
        raise BuildError(f"{', '.join(sorted(idle))} have no meaning with scales by row.", mend="Leave them out.")
    left = set(chosen_nodes(graph, config.exclude_nodes))
    matrices = {weight.name: weight for weight in graph.initializer if len(weight.dims) == 2}
    rewrite = _Rewrite()
    for node in graph.node:
        chosen = node.op_type == "MatMul" and node.input[1] in matrices and node.name not in left
        if chosen:
            rewrite.product(node, numpy_helper.to_array(matrices[node.input[1]]))
        else:
            rewrite.nodes.append(node)
    if not rewrite.count:
        raise BuildError(
            "The graph multiplies by no constant matrix.", mend="Exclude this form, or quantise otherwise."
        )
    del graph.node[:]
    graph.node.extend(rewrite.nodes)
    graph.initializer.extend(rewrite.constants.values())
    used = {name for node in graph.node for name in node.input}
    kept = [weight for weight in graph.initializer if weight.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    if all(entry.domain != "com.microsoft" for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    save(model, path)
    return [
        f"{rewrite.count} products on integers: weights int8 by output channel, activations int8 by row at run time, "
        f"{len(left)} nodes left in fp32"
    ]


class _Rewrite:
    """The new nodes and constants; an activation that feeds several products is quantised once."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.count = 0
        self._rows: dict[str, tuple[str, str]] = {}

    def product(self, node: onnx.NodeProto, weight: NDArray[np.generic]) -> None:
        """Integers in place of the MatMul `node` by `weight` `[K, N]`."""
        from onnx import helper

        integers, scales = quantise_weight(np.asarray(weight, np.float32))
        matrix = self._constant(f"{node.input[1]}_int8", integers)
        columns = self._constant(f"{node.input[1]}_scale", scales)
        rows, scale = self._quantised(node.input[0])
        unscaled = f"{node.output[0]}_{PREFIX}"
        inputs = [rows, matrix, self._constant(f"{PREFIX}_one", np.float32(1)), columns]
        inputs.append(self._constant(f"{PREFIX}_zero", np.uint8(LEVELS + 1)))
        self.nodes += [
            helper.make_node("MatMulIntegerToFloat", inputs, [unscaled], node.name, domain="com.microsoft"),
            helper.make_node("Mul", [unscaled, scale], [node.output[0]], f"{node.name}/{PREFIX}"),
        ]
        self.count += 1

    def _quantised(self, name: str) -> tuple[str, str]:
        """Names of the activation `name` in uint8 and of its scales, a row each."""
        from onnx import TensorProto, helper

        if name in self._rows:
            return self._rows[name]
        base = f"{name}_{PREFIX}"
        step = self._constant(f"{PREFIX}_step", np.float32(1 / LEVELS))
        least = self._constant(f"{PREFIX}_least", np.float32(1e-12))  # a row of zeros is divided by this
        offset = self._constant(f"{PREFIX}_offset", np.float32(LEVELS + 1.5))  # the cast cuts, so this rounds
        axis = self._constant(f"{PREFIX}_axis", np.array([-1], np.int64))
        chain = (
            ("Abs", [name], "size"),
            ("ReduceMax", [f"{base}_size", axis], "largest"),
            ("Mul", [f"{base}_largest", step], "raw"),
            ("Max", [f"{base}_raw", least], "scale"),
            ("Div", [name, f"{base}_scale"], "steps"),
            ("Add", [f"{base}_steps", offset], "moved"),
        )
        for operator, inputs, output in chain:
            self.nodes.append(helper.make_node(operator, inputs, [f"{base}_{output}"], f"{base}/{output}"))
        self.nodes.append(
            helper.make_node("Cast", [f"{base}_moved"], [f"{base}_uint8"], f"{base}/uint8", to=TensorProto.UINT8)
        )
        self._rows[name] = f"{base}_uint8", f"{base}_scale"
        return self._rows[name]

    def _constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        from onnx import numpy_helper

        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name


def quantise_weight(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """`weight` `[K, N]` as int8 and scales `[N]`: `weight` is about `int8 * scale`."""
    scales = np.maximum(np.abs(weight).max(axis=0) / LEVELS, 1e-12).astype(np.float32)
    return np.clip(np.round(weight / scales), -LEVELS, LEVELS).astype(np.int8), scales
