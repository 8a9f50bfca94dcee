"""Are the quantised weights those of the source?

An error of rounding is at most half a step of its scale. One wrong weight, a channel with another sign, a scale that
belongs to its neighbour drown among a million roundings in the answers of an int8 model; here each stands out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

Floats = NDArray[np.float32]
ROUNDED, CUT, FITTED = 0.51, 1.01, 2.0
"""Steps of its scale that a weight may be off.

Rounding is half a step. A symmetric block of MatMulNBits cuts its largest weight by up to one. Where a block has a zero
point of its own, scale and zero point are fitted to its middle (llama.cpp's k-quants), and its ends are cut by more:
1.5 was measured.
"""
_NAME = re.compile(r"^(?P<base>.*?)(?P<turned>_Transposed)?_(?:quantized|int8|Q[48]\w*)$")


@dataclass(frozen=True)
class _Integers:
    """A constant of integers: `values * steps` is the fp32 weight, but for `allowed` steps."""

    name: str
    base: str
    turned: bool
    values: Floats
    steps: Floats
    allowed: float = ROUNDED


def wrong_weights(reference: Path, suspect: Path) -> tuple[list[str], int]:
    """The quantised weights of the graph `suspect` against those of the fp32 graph `reference`.

    Returns:
        what is wrong, a line for each constant; and how many constants were compared.
    """
    import onnx
    from onnx import numpy_helper

    right = {one.name: one for one in onnx.load(str(reference)).graph.initializer}
    faults, compared = [], 0
    for found in _constants(onnx.load(str(suspect)).graph):
        if found.base not in right:
            continue
        weight = numpy_helper.to_array(right[found.base]).astype(np.float32)
        weight = weight.T if found.turned else weight
        compared += 1
        if weight.shape != found.values.shape:
            faults.append(f"{found.name} has the shape {list(found.values.shape)}, its source {list(weight.shape)}")
            continue
        off = np.abs(weight - found.values * found.steps) / np.maximum(np.abs(found.steps), 1e-30)
        wrong = int((off > found.allowed).sum())
        if wrong:
            most = f"by up to {off.max():.3g} steps of their scale"
            faults.append(f"{wrong} of {off.size} weights of {found.name} are off by more than rounding, {most}")
    return faults, compared


def _constants(graph: onnx.GraphProto) -> Iterator[_Integers]:
    """Matrices and kernels of integers, with the scale of every element."""
    from onnx import numpy_helper

    known = {one.name: one for one in graph.initializer}
    readers = {name: node for node in graph.node for name in node.input}

    def beside(name: str, *suffixes: str) -> NDArray[np.generic] | None:
        found = next((known[f"{name}_{suffix}"] for suffix in suffixes if f"{name}_{suffix}" in known), None)
        return None if found is None else numpy_helper.to_array(found)

    for name, one in known.items():
        named = _NAME.match(name)
        if named is None or len(one.dims) < 2 or name not in readers:
            continue
        node, base, turned = readers[name], named["base"], named["turned"] or ""
        scales = beside(base + turned, "scale", "scales")
        if scales is None:
            continue
        raw, zero = numpy_helper.to_array(one), beside(base + turned, "zero_point", "zp")
        if node.op_type == "MatMulNBits":
            values, steps = _blocks(node, raw, scales, zero)
            yield _Integers(name, base, bool(turned), values, steps, CUT if zero is None else FITTED)
        else:
            values, steps = _whole(node, raw, scales, zero)
            yield _Integers(name, base, bool(turned), values, steps)


def _whole(
    node: onnx.NodeProto, raw: NDArray[np.generic], scales: NDArray[np.generic], zero: NDArray[np.generic] | None
) -> tuple[Floats, Floats]:
    """Values and scales of a constant with one scale, or one for each step of an axis."""
    axis, values = _axis(node), raw.astype(np.float32)
    if zero is not None:
        values = values - _along(zero.astype(np.float32), axis, raw.ndim)
    return values, np.broadcast_to(_along(scales.astype(np.float32), axis, raw.ndim), raw.shape)


def _axis(node: onnx.NodeProto) -> int:
    """The axis that scales go along: what DequantizeLinear says; of a product's matrix the columns."""
    if node.op_type != "DequantizeLinear":
        return 1
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)


def _along(scales: Floats, axis: int, rank: int) -> Floats:
    """`scales` so that they broadcast: one number, one for each step of an axis, or of the constant's rank already."""
    if scales.size == 1 or scales.ndim == rank:
        return scales
    return scales.reshape([-1 if i == axis else 1 for i in range(rank)])


def _blocks(
    node: onnx.NodeProto, raw: NDArray[np.generic], scales: NDArray[np.generic], zero: NDArray[np.generic] | None
) -> tuple[Floats, Floats]:
    """Values and scales `[K, N]` of the blocks `[N, K / block, bytes]` of MatMulNBits (ONNX Runtime)."""
    sizes = {attribute.name: attribute.i for attribute in node.attribute}
    bits, width, rows = sizes["bits"], sizes["K"], sizes["N"]
    blocks = raw.shape[1]
    values = _unpacked(raw, bits).reshape(rows, blocks, -1).astype(np.float32)
    if zero is None:
        values -= 2 ** (bits - 1)
    else:
        values -= _unpacked(zero.reshape(rows, -1), bits)[:, :blocks, None].astype(np.float32)
    steps = np.broadcast_to(scales.astype(np.float32).reshape(rows, blocks, 1), values.shape)
    return values.reshape(rows, -1)[:, :width].T, steps.reshape(rows, -1)[:, :width].T


def _unpacked(raw: NDArray[np.generic], bits: int) -> NDArray[np.generic]:
    """A number for each one in the last axis; of 4 bits the lower half of a byte comes first."""
    if bits == 8:
        return raw
    both = raw.astype(np.uint8)
    halves: NDArray[np.generic] = np.stack([both & 15, both >> 4], axis=-1).reshape(*raw.shape[:-1], -1)
    return halves
