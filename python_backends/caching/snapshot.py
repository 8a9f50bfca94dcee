"""What is in memory when a process ends, for the next one.

A record: length of the name (4 bytes), name, length of the envelope (4 bytes), envelope (`envelope.py`). The first
record that is not whole ends the reading.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from pixelis.draft import draft
from python_backends.caching.envelope import unwrap, wrap
from python_backends.caching.key import Key
from python_backends.caching.memory import MemoryTier

_LENGTH = struct.Struct("<I")


def save(memory: MemoryTier, path: Path, now: float) -> int:
    """Write the entries of `memory`, made so long before `now` (seconds since the epoch); how many.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    entries = memory.entries()
    with draft(path) as beside, beside.open("wb") as out:
        for entry, age in entries:
            for part in (entry.name.encode(), wrap(entry.name, entry.value, now - age)):
                out.write(_LENGTH.pack(len(part)) + part)
    return len(entries)


def load(memory: MemoryTier, path: Path, now: float, still: Callable[[str], bool]) -> int:
    """Put what `save` wrote into `memory`; how many entries.

    Args:
        memory: empty.
        path: of the file; it may be absent.
        now: seconds since the epoch.
        still: whether values of these versions (`Key.versions`) are still asked for; others are dropped.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return 0
    taken = 0
    for name, envelope in _records(data):
        try:
            prefix, versions, digest = name.split(":")
            value, age = unwrap(name, envelope, now)
            key = Key(prefix, versions, bytes.fromhex(digest))
        except ValueError:
            memory.counts.add("errors")
            break
        if still(versions):
            memory.put(key, value, age)
            taken += 1
    return taken


def _records(data: bytes) -> Iterator[tuple[str, bytes]]:
    parts, at = list[bytes](), 0
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        parts.append(data[at : at + length])
        at += length
        if len(parts) == 2:
            yield parts[0].decode(errors="replace"), parts[1]
            parts = []
