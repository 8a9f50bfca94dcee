"""Snapshots: all experiences as they were after one entry of the log, in one file.

    experiences-000000001234.snapshot      the number is the entry's

    line 1   JSON: what follows, and for whom (`Head`)
    text     `[row, experience]` a line, then `[row, request]` a line
    keys     float32 `[n + m, D]`, in the same order
    32 bytes BLAKE2b over all of that

A snapshot is copied from the database beside the writes. It appears by one rename, whole and synced. The two newest are
kept, and the log behind the older of them.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter

from pixelis.draft import draft
from pixelis.errors import SetupError
from pixelis.json_text import reason
from pixelis.schema import Experience
from python_backends.experience.asked import Asked
from python_backends.experience.database import FILE, Held, reader
from python_backends.experience.database.reads import bodies, matrix, meta, vectors

FORMAT = 1
SUFFIX = ".snapshot"
KEPT = 2
_NAME = re.compile(rf"experiences-(\d{{12}}){re.escape(SUFFIX)}")
_SUM = 32


class Head(BaseModel):
    """The first line."""

    format: int
    width: int = Field(ge=1)
    store: str
    sequence: int = Field(ge=0)
    position: str
    text: int = Field(ge=0)
    experiences: int = Field(ge=0)
    asked: int = Field(ge=0)


_EXPERIENCE = TypeAdapter(tuple[int, Experience])
_ASKED = TypeAdapter(tuple[int, Asked])
"""A line: the row, and what is there."""


def snapshots(directory: Path) -> list[tuple[int, Path]]:
    """(sequence, path) of every snapshot, oldest first; whether they are sound is for `read` to say."""
    found = ((_NAME.fullmatch(path.name), path) for path in directory.glob(f"*{SUFFIX}"))
    return sorted((int(match[1]), path) for match, path in found if match)


def write(directory: Path) -> tuple[int, Path]:
    """Copy the database of `directory` into a snapshot; its sequence and path.

    Raises:
        OSError: it could not be written; nothing is left of it.
        sqlite3.Error: the database could not be read.
    """
    with reader(directory / FILE) as connection:
        said = meta(connection)
        tables = ("experiences", "asked")
        lines = [[f"[{row},{body}]\n" for row, body in bodies(connection, table)] for table in tables]
        text = "".join(line for table in lines for line in table).encode()
        counts = {table: len(table_lines) for table, table_lines in zip(tables, lines, strict=True)}
        head = Head(format=FORMAT, **vars(said), text=len(text), **counts)

        def parts() -> Iterator[bytes]:
            yield head.model_dump_json().encode() + b"\n"
            yield text
            for table in tables:
                yield from vectors(connection, table)

        path = directory / f"experiences-{said.sequence:012d}{SUFFIX}"
        _written(path, parts())
    for _, old in snapshots(directory)[:-KEPT]:
        old.unlink(missing_ok=True)
    return said.sequence, path


def read(path: Path) -> Held:
    """What a snapshot holds.

    Raises:
        SetupError: it is damaged, or of another format.
    """
    try:
        data = path.read_bytes()
        body = memoryview(data)[:-_SUM]
        head = Head.model_validate_json(data[: data.index(b"\n")])
        if head.format != FORMAT:
            raise SetupError(f"{path.name} has format {head.format}, and this version reads {FORMAT}.")
        if hashlib.blake2b(body, digest_size=_SUM).digest() != data[-_SUM:]:
            raise SetupError(f"{path.name} is damaged: its checksum is another.")
        start = data.index(b"\n") + 1
        lines = data[start : start + head.text].split(b"\n")[:-1]  # of bytes: U+2028 in a text ends no line
        keys = np.frombuffer(body[start + head.text :], np.float32).reshape(-1, head.width).copy()  # aligned
        experiences = [_EXPERIENCE.validate_json(line) for line in lines[: head.experiences]]
        asked = [_ASKED.validate_json(line) for line in lines[head.experiences :]]
        if (len(experiences), len(asked), len(keys)) != (head.experiences, head.asked, head.experiences + head.asked):
            raise ValueError("its parts do not fit each other")
    except (OSError, ValueError) as error:  # pydantic's is one
        raise SetupError(f"{path.name} cannot be read: {reason(error)}.") from error
    n = head.experiences
    return Held(head.width, head.store, head.sequence, head.position, experiences, keys[:n], asked, keys[n:])


def newest_keys(directory: Path, width: int) -> NDArray[np.float32]:
    """Keys `[n, width]` of the living experiences, also while a server uses them; none where there are none.

    Raises:
        SetupError: the database cannot be read, or has keys of another width.
    """
    path = directory / FILE
    if not path.exists():
        return np.zeros((0, width), np.float32)
    try:
        with reader(path) as connection:
            said = meta(connection)
            if said.width != width:
                raise SetupError(f"The experiences in {directory} have keys of width {said.width}, not {width}.")
            return matrix(connection, "experiences", width)
    except sqlite3.Error as error:
        raise SetupError(f"{path} cannot be read: {error}.", mend="pixelis experience verify says more.") from error


def _written(path: Path, parts: Iterator[bytes]) -> None:
    """Write `parts` and their checksum to `path`: whole and synced, or not at all."""
    made = hashlib.blake2b(digest_size=_SUM)
    with draft(path, durable=True) as beside, beside.open("wb") as file:
        for part in parts:
            file.write(part)
            made.update(part)
        file.write(made.digest())
