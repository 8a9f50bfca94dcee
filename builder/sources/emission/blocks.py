"""Weights of 8 or 4 bits in blocks that share a scale, as MatMulNBits takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Scheme = Literal["symmetric", "asymmetric", "k_quant"]
"""`symmetric`: zero is the middle, and the end of the range is the number that is largest; `asymmetric`: from smallest
to largest; `k_quant`: asymmetric too, with llama.cpp's search for the scale that errs least."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Some rows of a matrix.

    Attributes:
        values: `[rows, blocks, block * bits / 8]`, of 4 bits the first in the lower half of a byte.
        scales: `[rows, blocks]`.
        zeros: `[rows, ceil(blocks * bits / 8)]`, packed alike; none = the middle of the range.
    """

    values: Bytes
    scales: Floats
    zeros: Bytes | None


def quantise(rows: Floats, bits: int, block: int, scheme: Scheme) -> Blocks:
    """Rows `[n, width]` in blocks along their width; the last one is filled up with zeros."""
    count, width = rows.shape
    blocks = -(-width // block)
    if blocks * block != width:
        rows = np.pad(rows, ((0, 0), (0, blocks * block - width)))
    grouped = rows.reshape(count * blocks, block)
    values, scales, zeros = _SCHEMES[scheme](grouped, bits)
    return Blocks(
        values=_packed(values.reshape(count, blocks, block), bits),
        scales=scales.reshape(count, blocks).astype(np.float32),
        zeros=None if zeros is None else _packed(zeros.reshape(count, blocks), bits),
    )


def restore(made: Blocks, bits: int, width: int) -> Floats:
    """The rows `[n, width]` that MatMulNBits multiplies by."""
    count, blocks = made.scales.shape
    values = _unpacked(made.values, bits).astype(np.float32)
    zeros: Any = 1 << (bits - 1)
    if made.zeros is not None:
        zeros = _unpacked(made.zeros, bits)[:, :blocks, None].astype(np.float32)
    whole: Floats = ((values - zeros) * made.scales[:, :, None]).reshape(count, -1)[:, :width]
    return whole


def _symmetric(rows: Floats, bits: int) -> tuple[Bytes, Floats, None]:
    middle = 1 << (bits - 1)
    furthest = rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)]
    scales = (furthest / -middle)[:, None]
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales != 0)
    values = np.clip(np.rint(rows * inverse) + middle, 0, 2 * middle - 1)
    return values.astype(np.uint8), scales, None


def _asymmetric(rows: Floats, bits: int) -> tuple[Bytes, Floats, Bytes]:
    most = (1 << bits) - 1
    low = np.minimum(rows.min(axis=1, keepdims=True), 0)  # zero has a value of its own
    high = np.maximum(rows.max(axis=1, keepdims=True), 0)
    scales = (high - low) / most
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales != 0)
    zeros = np.clip(np.rint(-low * inverse), 0, most)
    values = np.clip(np.rint(rows * inverse) + zeros, 0, most)
    return values.astype(np.uint8), scales, zeros.astype(np.uint8)


def _k_quant(rows: Floats, bits: int) -> tuple[Bytes, Floats, Bytes]:
    from onnxruntime.quantization.neural_compressor.weight_only import quant_tensor_k_quant_cpu

    with np.errstate(divide="ignore", invalid="ignore"):  # candidates of constant blocks, which it does not take
        values, scales, zeros = quant_tensor_k_quant_cpu(rows, bits, rows.shape[1])
    return values.astype(np.uint8), scales, zeros.astype(np.uint8)


_SCHEMES: dict[Scheme, Any] = {"symmetric": _symmetric, "asymmetric": _asymmetric, "k_quant": _k_quant}


def _packed(values: Bytes, bits: int) -> Bytes:
    """Two values a byte along the last axis, where they are of 4 bits."""
    if bits == 8:
        return values
    if values.shape[-1] % 2:
        values = np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1)
    low, high = values[..., 0::2], values[..., 1::2]
    return np.bitwise_or(low, np.left_shift(high, 4, dtype=np.uint8))


def _unpacked(packed: Bytes, bits: int) -> Bytes:
    if bits == 8:
        return packed
    both: Bytes = np.stack([packed & 15, packed >> 4], axis=-1).astype(np.uint8)
    whole: Bytes = both.reshape(*packed.shape[:-1], -1)
    return whole
