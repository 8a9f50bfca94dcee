"""Which format a file has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pixelis.errors import InvalidRequest
from python_backends.experience.transfer import json_lines, parquet
from python_backends.experience.transfer.row import Row


class Format(NamedTuple):
    """How rows come out of a file and go into one."""

    read: Callable[[Path], Iterator[Row]]
    write: Callable[[Path, Iterable[Row]], int]


FORMATS = {
    "jsonl": Format(json_lines.read, json_lines.write),
    "parquet": Format(parquet.read, parquet.write),
}


def format_of(path: Path, named: str | None) -> Format:
    """The format that was named, or else the one that the file's name ends with. Raises `InvalidRequest`."""
    name = named or path.suffix.lstrip(".")
    if name not in FORMATS:
        raise InvalidRequest(f"{path} has no known format.", mend=f"Name one: --format {' or '.join(FORMATS)}.")
    return FORMATS[name]
