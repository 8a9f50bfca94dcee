"""Bytes in a tier outside this process, with what shows that they are whole, ours, of this form, and of this name.

    2 magic  1 form  8 seconds since the epoch when it was made  4 length  8 checksum  value

The checksum is over the name, the head and the value: what was truncated, overwritten or put under another name is
refused. It is no seal: who may write there may write what he likes.
"""

from __future__ import annotations

import struct
from hashlib import blake2b

MAGIC, FORM = b"Px", 1
_HEAD = struct.Struct("<2sBdI")
_CHECK = 8
AHEAD_S = 5.0
"""A value may come from the future by so much: clocks of replicas differ."""


def wrap(name: str, value: bytes, made: float) -> bytes:
    """An envelope around `value`, made at `made` (seconds since the epoch)."""
    head = _HEAD.pack(MAGIC, FORM, made, len(value))
    return head + _checksum(name, head, value) + value


def unwrap(name: str, data: bytes, now: float) -> tuple[bytes, float]:
    """The value and its age in seconds.

    Raises:
        ValueError: it is no whole envelope of this form and name, or it was made after `now`, by one clock or another.
    """
    start = _HEAD.size + _CHECK
    if len(data) < start or data[:2] != MAGIC:
        raise ValueError("no envelope")
    _, form, made, length = _HEAD.unpack_from(data)
    if form != FORM:
        raise ValueError(f"an envelope of form {form}")
    value = data[start:]
    if len(value) != length or _checksum(name, data[: _HEAD.size], value) != data[_HEAD.size : start]:
        raise ValueError("a damaged envelope")
    if not made <= now + AHEAD_S:
        raise ValueError("an envelope from the future")
    return value, max(0.0, now - made)


def _checksum(name: str, head: bytes, value: bytes) -> bytes:
    hashed = blake2b(name.encode(), digest_size=_CHECK)
    hashed.update(head)
    hashed.update(value)
    return hashed.digest()
