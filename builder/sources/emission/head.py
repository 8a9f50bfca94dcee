"""The embedding table, and the vocabulary's projection: one file, where the checkpoint ties them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from builder.checkpoints.architecture import Text
from builder.checkpoints.expected import EMBEDDING, HEAD
from builder.formats.onnx_store import external
from builder.formats.onnx_tables import rows_as_int8
from builder.sources.emission.blocks import quantise
from builder.sources.emission.form import Form
from builder.sources.emission.matrices import Matrices, joined, nbits, portions
from builder.sources.emission.nodes import FUSED, Nodes
from python_backends.policy.embeddings import SCALE, TABLE

NODE = "/lm_head/MatMul"
_INT8 = "embedding table: int8, a scale a row"


def write_table(directory: Path, matrices: Matrices, text: Text, form: Form) -> str:
    """Write the embedding table, no larger than weights in `form` ask for; what it is, in words.

    In blocks that share a scale, as the vocabulary's projection wants it, where the two are tied and whole blocks fill
    a row; else a scale a row.
    """
    size = (text.vocabulary, text.hidden)
    rows = matrices.rows(EMBEDDING)
    if not form.in_blocks:
        with _ArrayFile(directory / TABLE, np.float16 if form.bits == 16 else np.float32, size) as table:
            for part in rows:
                table.put(part)
        return f"embedding table: fp{form.bits}{', of the logits too' if text.tied and not form.own_head else ''}"
    shared = shares_blocks(text, form)
    dtype, scales_shape = (np.uint8, (size[0], size[1] // form.block)) if shared else (np.int8, (size[0], 1))
    with (
        _ArrayFile(directory / TABLE, dtype, size) as table,
        _ArrayFile(directory / SCALE, np.float32, scales_shape) as scales,
    ):
        for part in rows:
            if shared:
                made = quantise(part, 8, form.block, "symmetric")
                values, scale = made.values.reshape(part.shape), made.scales
            else:
                values, scale = rows_as_int8(part)
            table.put(values)
            scales.put(scale)
    return f"embedding table: 8 bits in blocks of {form.block}, of the logits too" if shared else _INT8


def shares_blocks(text: Text, form: Form) -> bool:
    """Whether the table and the projection can be the same blocks of 8 bits."""
    return form.of(NODE).in_blocks and text.tied and text.hidden % form.block == 0


def project(directory: Path, nodes: Nodes, matrices: Matrices, text: Text, form: Form, hidden: ir.Value) -> ir.Value:
    """Logits of `hidden [..., hidden]`, from the table that `write_table` wrote where that is the checkpoint's own."""
    size = (text.vocabulary, text.hidden)
    head = form.of(NODE).head
    if shares_blocks(text, form):
        blocks = text.hidden // form.block
        values = _lying(directory / TABLE, "lm_head.MatMul.weight_Q8", (text.vocabulary, blocks, form.block))
        scales = _lying(directory / SCALE, "lm_head.MatMul.weight_scale", (text.vocabulary, blocks))
        return nbits(nodes, NODE, hidden, [nodes.weight(values), nodes.weight(scales)], size, head)
    if text.tied and not form.in_blocks and not form.own_head:
        products = []
        for name, span in portions(NODE, text.vocabulary, text.hidden * form.bits // 8):
            own = "model.embed_tokens.weight" + name.removeprefix(NODE)
            rows = (span.stop - span.start, text.hidden)
            table = nodes.weight(_lying(directory / TABLE, own, rows, start=span.start))
            inputs = [hidden, matrices.single(table, form)]
            products.append(nodes.node("FusedMatMul", name, inputs, domain=FUSED, transB=1))
        return joined(nodes, NODE, products)
    return matrices.headed(head).project(EMBEDDING if text.tied else HEAD, "/lm_head", hidden)


class _ArrayFile:
    """An `.npy` file that grows by rows; mapped pages would count as memory of this process, written ones do not."""

    def __init__(self, path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
        self._dtype = np.dtype(dtype)
        self._file = path.open("wb")
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        write_header: Any = np.lib.format.write_array_header_1_0
        write_header(self._file, header)

    def put(self, rows: NDArray[Any]) -> None:
        """The next rows."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).data.cast("B"))

    def __enter__(self) -> _ArrayFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _lying(path: Path, name: str, shape: tuple[int, ...], start: int = 0) -> ir.ExternalTensor:
    """The numbers in an `.npy` file, from row `start` on, as a weight of the graph."""
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    offset = mapped.offset + start * mapped.strides[0]
    return external(path.parent, path.name, offset, name, mapped.dtype, shape)
