"""Values to bytes and back: JSON for what has a model, raw numbers for arrays. No pickle."""

from __future__ import annotations

import struct
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

V = TypeVar("V")


class Codec(Protocol[V]):
    """Both ways. `decode` raises `ValueError` on bytes that are no value."""

    def encode(self, value: V) -> bytes:
        """The bytes of `value`."""

    def decode(self, data: bytes) -> V:
        """A value of its own each time."""


class JsonCodec(Generic[V]):
    """What pydantic knows.

    Args:
        kind: a model, or a list of one.
    """

    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[V] = TypeAdapter(kind)

    def encode(self, value: V) -> bytes:
        """UTF-8 JSON."""
        return self._adapter.dump_json(value)

    def decode(self, data: bytes) -> V:
        """The value; pydantic's error is a `ValueError`."""
        return self._adapter.validate_json(data)


class FloatsCodec:
    """Arrays of float32 of any shape: rank, sides, numbers, all little-endian."""

    def encode(self, value: NDArray[np.float32]) -> bytes:
        """`value` `[...]`."""
        sides = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        return sides + np.ascontiguousarray(value, "<f4").tobytes()

    def decode(self, data: bytes) -> NDArray[np.float32]:
        """Read-only, on the bytes themselves."""
        if not data:
            raise ValueError("no array")
        start = 1 + 4 * data[0]
        if len(data) < start:
            raise ValueError("an array without its sides")
        shape = struct.unpack(f"<{data[0]}I", data[1:start])
        return np.frombuffer(data, "<f4", offset=start).reshape(shape)


class NumbersCodec:
    """So many float64.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._form = struct.Struct(f"<{count}d")

    def encode(self, value: tuple[float, ...]) -> bytes:
        """8 bytes a number."""
        return self._form.pack(*value)

    def decode(self, data: bytes) -> tuple[float, ...]:
        """The numbers."""
        try:
            return self._form.unpack(data)
        except struct.error as error:
            raise ValueError(str(error)) from None
