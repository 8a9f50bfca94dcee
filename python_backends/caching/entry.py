"""A value in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

OVERHEAD = 400
"""Bytes that an entry takes beside its value: name, digest, and its places in dictionaries."""


@dataclass(slots=True, eq=False)
class Entry:
    """A value in memory.

    Attributes:
        name: see `Key.name`.
        hashed: 128 bits of its digest, for the sketch.
        value: encoded.
        expires: monotonic seconds from which on it is not used.
        weight: what it counts for the budget.
    """

    name: str
    hashed: int
    value: bytes
    expires: float
    weight: int


class Gone(NamedTuple):
    """What had to go, and what was not let in."""

    evicted: list[Entry]
    refused: list[Entry]


def hash_of(digest: bytes) -> int:
    """128 bits of a digest as a number."""
    return int.from_bytes(digest[:16], "little")
