"""Directories of the format before: generations of files, each with a journal of JSON lines and raw float32 keys.

They are read once, when there is no database yet, and renamed then.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pixelis.errors import RequestError, SetupError
from pixelis.json_text import loads, read_object, reason
from pixelis.schema import Experience
from python_backends.experience.asked import Asked
from python_backends.experience.database import Held
from python_backends.experience.entry import Entry, Key
from python_backends.experience.identifier import ulid
from python_backends.experience.memory import Memory
from python_backends.experience.records import plan

_NAME = re.compile(r"generation-(\d{8})")
UNBOUNDED = 2**62
"""The old records name who was evicted, so that nothing more goes when they are replayed."""


def generations(directory: Path) -> list[Path]:
    """Every whole generation, oldest first."""
    found = ((_NAME.fullmatch(path.name), path) for path in directory.glob("generation-*"))
    return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]


def taken_over(path: Path, memory: Memory, width: int) -> Held:
    """What a generation and its journal hold; `memory` is filled on the way.

    Raises:
        SetupError: it was written for keys of another width, or its files do not fit each other.
    """
    try:
        meta = read_object(path / "meta.json")
        epoch = int(meta["epoch"])
        if meta["width"] != width:
            raise SetupError(f"The experiences in {path} have keys of width {meta['width']}, not {width}.")
        experiences, keys = _pairs(path, "experiences.jsonl", "keys.f32", meta["count"], width)
        asked, asked_keys = _pairs(path, "asked.jsonl", "asked.f32", meta.get("asked", 0), width)
        living = [Experience.model_validate_json(line) for line in experiences]
        memory.population.add(living, keys, range(1, len(living) + 1))
        for line, key in zip(asked, asked_keys, strict=True):
            memory.asked.note(Asked.model_validate_json(line), key)
        row, changes = len(living), 0
        for old in _journal(path, width):
            changes += 1
            for entry in _entries(*old):
                row += 1
                memory.apply(plan(memory, entry), entry.key, row)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, OverflowError, RequestError) as error:
        mend = f"Move {path.parent} away to start again from the seeds, or restore it from a copy."
        raise SetupError(f"The experiences in {path} cannot be read: {reason(error)}.", mend=mend) from error
    everything, rows, matrix = memory.population.everything()
    noted = memory.asked.everything()
    last = max(row, epoch + changes)
    memory.sequence = last + len(noted)
    return Held(
        width,
        ulid(),
        memory.sequence,
        "",
        list(zip(rows, everything, strict=True)),
        matrix,
        [(last + i, one) for i, (one, _) in enumerate(noted, 1)],
        np.stack([key for _, key in noted]) if noted else np.zeros((0, width), np.float32),
    )


def _pairs(path: Path, lines: str, keys: str, count: int, width: int) -> tuple[list[bytes], Key]:
    if not count:
        return [], np.zeros((0, width), np.float32)
    found = (path / lines).read_bytes().splitlines()  # of bytes: U+2028 in a text ends no line
    matrix = np.fromfile(path / keys, np.float32)
    if len(found) != count or matrix.size != count * width:
        raise ValueError("its files do not fit each other")
    return found, matrix.reshape(count, width)


def _journal(path: Path, width: int) -> Iterator[tuple[dict[str, Any], Key | None]]:
    """Every whole record, oldest first; a torn tail was never acknowledged."""
    if not (path / "journal.jsonl").exists():
        return
    keys = np.fromfile(path / "journal.f32", np.float32)
    for line in (path / "journal.jsonl").read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        record = loads(line)
        key = None
        if "row" in record:
            key = keys[record["row"] * width : (record["row"] + 1) * width]
            if zlib.crc32(key.tobytes()) != record["crc"]:
                raise ValueError("a key of its journal is damaged")
        yield record, key


def _entries(record: dict[str, Any], key: Key | None) -> Iterator[Entry]:
    """An old record as entries of now."""
    if record.get("evicted") is not None:
        yield Entry({"op": "delete", "id": record["evicted"]})
    yield Entry({"again": False, **record, "capacity": UNBOUNDED}, key)
