"""Equal values to equal bytes, different values to different ones.

Every value is preceded by its type and its length, so that no two structures spell the same: `["ab", "c"]` is not
`["a", "bc"]`, 1 is not True, and an array is not its transpose.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Update = Callable[[Any], None]
"""Takes the next bytes, or a contiguous buffer: a hash's `update`."""


def feed(update: Update, value: Any) -> None:
    """Hand the encoding of `value` to `update`, piece by piece.

    Raises:
        TypeError: it holds something else than none, booleans, numbers, texts, bytes, arrays, lists and mappings.
    """
    if value is None:
        update(b"n")
    elif isinstance(value, bool):
        update(b"t" if value else b"f")
    elif isinstance(value, int):
        _sized(update, b"i", str(int(value)).encode())
    elif isinstance(value, float):
        update(b"d" + struct.pack(">d", value))
    elif isinstance(value, str):
        _sized(update, b"s", str.encode(value, "utf-8", "surrogatepass"))
    elif isinstance(value, bytes):
        _sized(update, b"b", value)
    elif isinstance(value, np.ndarray):
        _array(update, value)
    elif isinstance(value, (list, tuple)):
        update(b"l" + struct.pack(">Q", len(value)))
        for one in value:
            feed(update, one)
    elif isinstance(value, Mapping):
        update(b"m" + struct.pack(">Q", len(value)))
        for name in sorted(value):
            _sized(update, b"s", _text(name).encode("utf-8", "surrogatepass"))
            feed(update, value[name])
    else:
        raise TypeError(f"{type(value).__name__} has no canonical encoding")


def canonical(value: Any) -> bytes:
    """The encoding of `value`; raises as `feed` does."""
    out = bytearray()
    feed(out.extend, value)
    return bytes(out)


def _sized(update: Update, tag: bytes, data: bytes) -> None:
    update(tag + struct.pack(">Q", len(data)))
    update(data)


def _array(update: Update, value: np.ndarray[Any, Any]) -> None:
    if value.dtype.hasobject:
        raise TypeError("an array of objects has no canonical encoding")
    plain = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
    _sized(update, b"a", f"{plain.dtype.str}{value.shape}".encode())
    update(plain.reshape(-1).view(np.uint8).data)


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a mapping with a name of type {type(name).__name__} has no canonical encoding")
    return name
