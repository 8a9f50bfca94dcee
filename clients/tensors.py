"""Arrays to the bytes of Triton's tensors and back; the same bytes in gRPC and in HTTP's binary extension."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]
"""Named arrays; BYTES are arrays of objects."""

_TYPES: dict[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
_NAMES = {np.dtype(numpy): name for name, numpy in _TYPES.items()}


def text(*values: str | bytes) -> NDArray[np.object_]:
    """A BYTES array `[n]`; strings as UTF-8."""
    array = np.empty(len(values), np.object_)
    array[:] = [value.encode() if isinstance(value, str) else value for value in values]
    return array


def datatype(array: NDArray[Any]) -> str:
    """Triton's name of an array's type."""
    return "BYTES" if array.dtype == np.object_ else _NAMES[array.dtype]


def pack(array: NDArray[Any]) -> bytes:
    """Row-major, little-endian; each BYTES element after its length."""
    if array.dtype == np.object_:
        return b"".join(struct.pack("<I", len(element)) + element for element in array.ravel())
    return array.tobytes()


def unpack(raw: bytes, kind: str, shape: Sequence[int]) -> NDArray[Any]:
    """The array that `pack` wrote.

    Raises:
        ValueError: the bytes do not fill the shape, or the type is unknown.
    """
    if any(side < 0 for side in shape):
        raise ValueError(f"a tensor of shape {list(shape)}")
    if kind != "BYTES":
        if kind not in _TYPES:
            raise ValueError(f"tensor type {kind[:20]} is not known")
        return np.frombuffer(raw, _TYPES[kind]).reshape(shape)
    return text(*_elements(raw)).reshape(shape)


def _elements(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        begin = at + 4
        at = begin + int.from_bytes(raw[at:begin], "little")
        if begin > len(raw) or at > len(raw):
            raise ValueError("a tensor whose last element is cut short")
        yield raw[begin:at]
