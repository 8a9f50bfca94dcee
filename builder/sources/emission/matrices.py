"""A layer's matrices: read from the checkpoint a slice at a time, stored in their form, multiplied by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from builder.checkpoints.weights import Weights
from builder.formats.onnx_store import ExternalStore
from builder.sources.emission.blocks import quantise
from builder.sources.emission.form import ACCURACY_LEVEL, Form
from builder.sources.emission.nodes import FUSED, Nodes
from pixelis.errors import BuildError

Floats = NDArray[np.float32]
SLICE = 16 << 20
"""Numbers of a matrix that are in memory at once."""
PORTION = 512 << 20
"""Bytes of a matrix of floats from which it is multiplied by in portions: each is in memory whole while it is used."""
_READ = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


class Matrices:
    """Puts weights into a graph.

    Args:
        weights: of the checkpoint.
        store: takes them.
        nodes: the graph.
        form: of matrices.
    """

    def __init__(self, weights: Weights, store: ExternalStore, nodes: Nodes, form: Form) -> None:
        self._weights, self._store, self._nodes, self._form = weights, store, nodes, form

    def headed(self, form: Form) -> Matrices:
        """The same, with matrices of another form."""
        return Matrices(self._weights, self._store, self._nodes, form)

    def vector(self, tensor: str, name: str) -> ir.Value:
        """A small weight, in fp32."""
        values = self.view(tensor).astype(np.float32)
        put = self._store.put(name, values.dtype, values.shape, [values])
        return self._nodes.weight(put)

    def blocks(self, name: str, shape: tuple[int, int], parts: Iterator[Floats]) -> ir.Value:
        """A table in fp32 that comes in blocks."""
        return self._nodes.weight(self._store.put(name, np.dtype(np.float32), shape, parts))

    def project(self, tensor: str, name: str, values: ir.Value, bias: str = "") -> ir.Value:
        """`values` times the matrix `[out, in]` of the checkpoint, plus its bias where there is one.

        Args:
            tensor: name of the matrix in the checkpoint.
            name: of the projection in the graph; its nodes are `name/MatMul` and `name/Add`.
            values: `[..., in]`.
            bias: name of the bias in the checkpoint.
        """
        product = self._multiplied(tensor, f"{name}/MatMul", values)
        if bias not in self._weights:
            return product
        return self._nodes.node("Add", f"{name}/Add", [product, self.vector(bias, f"{_stem(name)}.Add.bias")])

    def view(self, tensor: str) -> NDArray[Any]:
        """A weight as it lies in its file.

        Raises:
            BuildError: it is not there, or is not of floats.
        """
        if tensor not in self._weights:
            raise BuildError(f"The checkpoint has no {tensor}.", mend="Save it whole, with the names of transformers.")
        found = self._weights[tensor]
        if found.dtype not in _READ:
            raise BuildError(f"{tensor} is of {found.dtype}.", mend="Save the checkpoint in bf16, fp16 or fp32.")
        return found

    def rows(self, tensor: str) -> Iterator[Floats]:
        """A matrix in fp32, some rows at a time."""
        found = self.view(tensor)
        step = max(SLICE // found.shape[1], 1)
        for start in range(0, len(found), step):
            yield found[start : start + step].astype(np.float32)
            self._weights.release()

    def _multiplied(self, tensor: str, node: str, values: ir.Value) -> ir.Value:
        form = self._form.of(node)
        count, width = self.view(tensor).shape
        if not form.in_blocks:
            products = []
            for name, span in portions(node, count, width * form.bits // 8):
                weight = self._nodes.weight(self._dense(tensor, f"{_stem(name)}.weight", form, span))
                products.append(self._nodes.node("MatMul", name, [values, self.single(weight, form)]))
            return joined(self._nodes, node, products)
        packed = self._in_blocks(tensor, _stem(node), form)
        return nbits(self._nodes, node, values, packed, (count, width), form)

    def single(self, weight: ir.Value, form: Form) -> ir.Value:
        """A weight as a product takes it on a CPU, which multiplies in single precision alone: cast at load."""
        if form.bits == 32:
            return weight
        return self._nodes.node("Cast", f"{weight.name}/Cast", [weight], to=int(ir.DataType.FLOAT))

    def _dense(self, tensor: str, name: str, form: Form, span: slice) -> ir.ExternalTensor:
        """`[in, outputs in span]`."""
        width = self.view(tensor).shape[1]
        dtype = np.dtype(np.float16 if form.bits == 16 else np.float32)
        return self._store.put(name, dtype, (width, span.stop - span.start), self._columns(tensor, dtype, span))

    def _columns(self, tensor: str, dtype: np.dtype[Any], span: slice) -> Iterator[NDArray[Any]]:
        found = self.view(tensor)[span]
        step = max(SLICE // len(found), 1)
        for start in range(0, found.shape[1], step):
            yield np.ascontiguousarray(found[:, start : start + step].T).astype(dtype)
            self._weights.release()

    def _in_blocks(self, tensor: str, stem: str, form: Form) -> list[ir.Value]:
        """Values, scales and, where there are, zero points of a matrix."""
        count, width = self.view(tensor).shape
        blocks = -(-width // form.block)
        scales, zeros = [], []

        def values() -> Iterator[NDArray[Any]]:
            for rows in self.rows(tensor):
                made = quantise(rows, form.bits, form.block, form.scheme)
                scales.append(made.scales)
                if made.zeros is not None:
                    zeros.append(made.zeros)
                yield made.values

        bytes_ = np.dtype(np.uint8)
        shape = (count, blocks, form.block * form.bits // 8)
        name = f"{stem}.weight_Q{form.bits}G{form.block}"
        tensors = [self._store.put(name, bytes_, shape, values())]
        tensors.append(self._store.put(f"{stem}.weight_scale", np.dtype(np.float32), (count, blocks), scales))
        if zeros:
            packed = (count, -(-blocks * form.bits // 8))
            tensors.append(self._store.put(f"{stem}.weight_zp", bytes_, packed, zeros))
        return [self._nodes.weight(tensor) for tensor in tensors]


def portions(node: str, outputs: int, nbytes: int) -> list[tuple[str, slice]]:
    """Name and outputs of each product that a matrix `[outputs, in]` is multiplied by in.

    Args:
        node: name of the product, and of the only one where the matrix is not too large.
        outputs: rows of the matrix.
        nbytes: of a row.
    """
    count = -(-outputs * nbytes // PORTION)
    if count < 2:
        return [(node, slice(0, outputs))]
    each = -(-outputs // count)
    return [(f"{node}.{i}", slice(i * each, min((i + 1) * each, outputs))) for i in range(count)]


def joined(nodes: Nodes, node: str, products: Sequence[ir.Value]) -> ir.Value:
    """The product whose portions are `products`; where there are several, `node` puts them one behind the other."""
    return products[0] if len(products) == 1 else nodes.node("Concat", node, products, axis=-1)


def nbits(
    nodes: Nodes, name: str, values: ir.Value, packed: list[ir.Value], shape: tuple[int, int], form: Form
) -> ir.Value:
    """`values` times a matrix `[out, in]` in blocks: MatMulNBits."""
    count, width = shape
    return nodes.node(
        "MatMulNBits",
        name,
        [values, *packed],
        domain=FUSED,
        K=width,
        N=count,
        bits=form.bits,
        block_size=form.block,
        accuracy_level=ACCURACY_LEVEL,
    )


def _stem(node: str) -> str:
    """`model.layers.0.attn.q_proj.MatMul` of `/model/layers.0/attn/q_proj/MatMul`."""
    return node.removeprefix("/").replace("/", ".")
