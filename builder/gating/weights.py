"""Are the quantised weights those of the source?

An error of rounding is at most half a step of its scale. One wrong weight, a channel with another sign, a scale that
belongs to its neighbour drown among a million roundings in the answers of an int8 model; here each stands out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from builder.gating.constants import NUMBERS, Constants, Index

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
    """A constant of integers, a part at a time: `values * steps` is the fp32 weight, but for `allowed` steps.

    Attributes:
        name: in its graph.
        base: name of the fp32 weight.
        shape: of the weight.
        parts: where in the weight, values and steps.
    """

    name: str
    base: str
    turned: bool
    shape: tuple[int, ...]
    parts: Iterator[tuple[Index, Floats, Floats]]
    allowed: float = ROUNDED


def wrong_weights(reference: Path, suspect: Path) -> tuple[list[str], int]:
    """The quantised weights of the graph `suspect` against those of the fp32 graph `reference`.

    Memory does not grow with the graphs: see `constants.NUMBERS`.

    Returns:
        what is wrong, a line for each constant; and how many constants were compared.
    """
    right = Constants(reference)
    faults, compared = [], 0
    for found in _constants(Constants(suspect)):
        portions = _portions(right, found.base)
        if not portions:
            continue
        weight = _Weight(right, portions, found.turned)
        compared += 1
        if weight.shape != found.shape:
            faults.append(f"{found.name} has the shape {list(found.shape)}, its source {list(weight.shape)}")
            continue
        wrong, most = 0, 0.0
        for where, values, steps in found.parts:
            off = np.abs(weight[where] - values * steps) / np.maximum(np.abs(steps), 1e-30)
            wrong += int((~(off <= found.allowed)).sum())
            most = max(most, float(off.max(initial=0.0)))
        if wrong:
            said = f"by up to {most:.3g} steps of their scale"
            of = math.prod(found.shape)
            faults.append(f"{wrong} of {of} weights of {found.name} are off by more than rounding, {said}")
    return faults, compared


def _portions(constants: Constants, base: str) -> list[str]:
    """The constant of that name; or the portions `….MatMul.0.weight`, … that a large matrix lies in."""
    if base in constants:
        return [base]
    stem = base.removesuffix(".weight")
    found: list[str] = []
    while (name := f"{stem}.{len(found)}.weight") in constants:
        found.append(name)
    return found


class _Weight:
    """An fp32 weight of the source, in the layout of the constant that it became."""

    def __init__(self, constants: Constants, portions: list[str], turned: bool) -> None:
        self._constants, self._portions, self._turned = constants, portions, turned
        shape = constants.shape(portions[0])
        self._ends = list(accumulate(constants.shape(name)[-1] for name in portions))
        plain = (*shape[:-1], self._ends[-1])
        self.shape = plain[::-1] if turned else plain

    def __getitem__(self, where: Index) -> Floats:
        """A part, in fp32."""
        plain = where[::-1] if self._turned else where
        begin, end, _ = plain[-1].indices(self._ends[-1])
        parts, first = [], 0
        for name, last in zip(self._portions, self._ends, strict=True):
            span = slice(max(begin, first) - first, min(end, last) - first)
            if span.start < span.stop:
                parts.append(self._constants.part(name, (*plain[:-1], span)).astype(np.float32))
            first = last
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        return whole.T if self._turned else whole


def _constants(constants: Constants) -> Iterator[_Integers]:
    """Matrices and kernels of integers, with the scale of every element."""
    readers = {name: node for node in constants.graph.node for name in node.input}

    def beside(name: str, *suffixes: str) -> NDArray[np.generic] | None:
        found = next((f"{name}_{suffix}" for suffix in suffixes if f"{name}_{suffix}" in constants), None)
        return None if found is None else constants.whole(found)

    for name in constants:
        named = _NAME.match(name)
        if named is None or len(constants.shape(name)) < 2 or name not in readers:
            continue
        node, base, turned = readers[name], named["base"], named["turned"] or ""
        scales = beside(base + turned, "scale", "scales")
        if scales is None:
            continue
        zero = beside(base + turned, "zero_point", "zero_points", "zp")
        if node.op_type == "MatMulNBits":
            sizes = {attribute.name: attribute.i for attribute in node.attribute}
            parts = _blocks(constants, name, sizes, scales, zero)
            shape, allowed = (sizes["K"], sizes["N"]), CUT if zero is None else FITTED
            yield _Integers(name, base, bool(turned), shape, parts, allowed)
        else:
            parts = _whole(constants, name, _axis(node), scales, zero)
            yield _Integers(name, base, bool(turned), constants.shape(name), parts)


def _whole(
    constants: Constants, name: str, axis: int, scales: NDArray[np.generic], zero: NDArray[np.generic] | None
) -> Iterator[tuple[Index, Floats, Floats]]:
    """Values and scales of a constant with one scale, or one for each step of an axis."""
    shape = constants.shape(name)
    steps = np.broadcast_to(_along(scales.astype(np.float32), axis, len(shape)), shape)
    zeros = np.broadcast_to(_along(np.float32(0) if zero is None else zero.astype(np.float32), axis, len(shape)), shape)
    for span in _spans(shape[0], math.prod(shape[1:])):
        where = (span, *(slice(None) for _ in shape[1:]))
        yield where, constants.part(name, where).astype(np.float32) - zeros[where], steps[where]


def _axis(node: onnx.NodeProto) -> int:
    """The axis that scales go along: what DequantizeLinear says; of a product's matrix the columns."""
    if node.op_type != "DequantizeLinear":
        return 1
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)


def _along(scales: Floats | np.float32, axis: int, rank: int) -> Floats | np.float32:
    """`scales` so that they broadcast: one number, one for each step of an axis, or of the constant's rank already."""
    if scales.size == 1 or scales.ndim == rank:
        return scales
    return scales.reshape([-1 if i == axis else 1 for i in range(rank)])


def _blocks(
    constants: Constants,
    name: str,
    sizes: dict[str, int],
    scales: NDArray[np.generic],
    zero: NDArray[np.generic] | None,
) -> Iterator[tuple[Index, Floats, Floats]]:
    """Values and scales `[K, N]` of the blocks `[N, K / block, bytes]` of MatMulNBits (ONNX Runtime)."""
    bits, width, outputs = sizes["bits"], sizes["K"], sizes["N"]
    blocks = constants.shape(name)[1]
    steps_of = scales.reshape(outputs, blocks, 1)
    zeros_of = None if zero is None else zero.reshape(outputs, -1)
    for span in _spans(outputs, width):
        raw = constants.part(name, (span, slice(None), slice(None)))
        values = _unpacked(raw, bits).reshape(len(raw), blocks, -1).astype(np.float32)
        if zeros_of is None:
            values -= 2 ** (bits - 1)
        else:
            values -= _unpacked(zeros_of[span], bits)[:, :blocks, None].astype(np.float32)
        steps = np.broadcast_to(steps_of[span].astype(np.float32), values.shape)
        where = (slice(None), span)
        yield where, values.reshape(len(raw), -1)[:, :width].T, steps.reshape(len(raw), -1)[:, :width].T


def _spans(rows: int, width: int) -> Iterator[slice]:
    """Rows that are looked at together."""
    each = max(NUMBERS // max(width, 1), 1)
    for start in range(0, rows, each):
        yield slice(start, min(start + each, rows))


def _unpacked(raw: NDArray[np.generic], bits: int) -> NDArray[np.generic]:
    """A number for each one in the last axis; of 4 bits the lower half of a byte comes first."""
    if bits == 8:
        return raw
    both = raw.astype(np.uint8)
    halves: NDArray[np.generic] = np.stack([both & 15, both >> 4], axis=-1).reshape(*raw.shape[:-1], -1)
    return halves
