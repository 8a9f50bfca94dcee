"""An entry in the stream: `record` (JSON), `key` (little-endian float32s, or empty) and `digest` of both."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from pixelis.errors import SetupError
from pixelis.json_text import finite
from python_backends.experience.database.digests import digest
from python_backends.experience.entry import Entry

FOUNDED = Entry({"op": "founded"})
"""The first entry of a stream: who finds another one there knows that the beginning is gone."""


_POSITION = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)
"""An id of Redis: milliseconds, and a number within them."""


class Streamed(NamedTuple):
    """An entry, and its id in the stream."""

    position: str
    entry: Entry


def encode(entry: Entry) -> dict[bytes, bytes]:
    """The fields of an entry."""
    record = json.dumps(entry.record, separators=(",", ":")).encode()
    key = b"" if entry.key is None else entry.key.astype("<f4").tobytes()
    return {b"record": record, b"key": key, b"digest": digest(record, key)}


def decode(position: bytes, fields: Mapping[bytes, bytes]) -> Streamed:
    """An entry of its fields.

    Raises:
        SetupError: they are not what was written.
    """
    record, key = fields.get(b"record", b""), fields.get(b"key", b"")
    place = position.decode(errors="replace")
    if _POSITION.fullmatch(place) and digest(record, key) == fields.get(b"digest"):
        with suppress(ValueError):  # another program may write a digest too
            vector = np.frombuffer(key, "<f4").astype(np.float32) if key else None
            return Streamed(place, Entry(finite(record), vector))
    raise SetupError(
        f"Entry {place[:40]} of the replicas' log is damaged, or no entry of ours.",
        mend="Let nothing else write into that stream; restore Redis from a copy.",
    )


def order(position: str) -> tuple[int, int]:
    """Ids of the stream as numbers, which compare as they came; those of before the first entry are lowest."""
    first, _, second = position.partition("-")
    return (int(first), int(second)) if first else (-1, -1)
