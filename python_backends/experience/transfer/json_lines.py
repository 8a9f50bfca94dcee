"""JSON Lines: `{"experience": {...}, "key": "..."}`, the key as base64 of little-endian float32s.

A key may also be a list of numbers, as other programs write it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pixelis.errors import InvalidRequest
from pixelis.json_text import loads, reason
from pixelis.schema import Experience
from python_backends.experience.entry import Key
from python_backends.experience.transfer.row import Row


def write(path: Path, rows: Iterable[Row]) -> int:
    """Write `rows`, one a line; how many there were. Raises `OSError`."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for experience, key in rows:
            encoded = base64.b64encode(key.astype("<f4").tobytes()).decode()
            file.write(f'{{"experience":{experience.model_dump_json()},"key":"{encoded}"}}\n')
            count += 1
    return count


def read(path: Path) -> Iterator[Row]:
    """The rows of a file. Raises `InvalidRequest`, which names the line, and `OSError`."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                found = loads(line)
                yield Row(Experience.model_validate(found["experience"]), _key(found["key"]))
            except (ValueError, KeyError, TypeError, OverflowError) as error:  # pydantic's is a ValueError
                named = f"no {error}" if isinstance(error, KeyError) else reason(error)
                raise InvalidRequest(
                    f"Line {number} of {path} is no experience: {named}.",
                    mend='A line is {"experience": {...}, "key": "base64 of float32s"}.',
                ) from error


def _key(found: str | list[float]) -> Key:
    if isinstance(found, str):
        return np.frombuffer(base64.b64decode(found, validate=True), "<f4").astype(np.float32)
    with np.errstate(over="ignore"):  # too large for a float32: infinite, which whoever stores it refuses
        return np.array(found, np.float32)
