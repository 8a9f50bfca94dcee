"""What the file holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pixelis.errors import SetupError
from pixelis.json_text import loads, reason
from pixelis.schema import Experience
from python_backends.experience.asked import Asked
from python_backends.experience.database.digests import digest
from python_backends.experience.entry import Entry, Key


@dataclass
class Held:
    """All there is after the entry number `sequence`.

    Attributes:
        width: D of the keys.
        store: the id of the store that it belongs to.
        sequence: of the last entry.
        position: of that entry in the replicas' stream; empty where there is none.
        experiences: living ones with their rows, lowest row first.
        keys: theirs, `[n, D]`.
        asked: requests that take feedback with their rows, oldest first.
        asked_keys: theirs, `[m, D]`.
    """

    width: int
    store: str
    sequence: int
    position: str
    experiences: list[tuple[int, Experience]]
    keys: Key
    asked: list[tuple[int, Asked]]
    asked_keys: Key


@dataclass(frozen=True)
class Logged:
    """An entry, its number, and where in the replicas' stream it was read."""

    sequence: int
    entry: Entry
    position: str


@dataclass(frozen=True)
class Meta:
    """What a file says of itself; `store` is empty before it was filled the first time."""

    width: int
    store: str
    sequence: int
    position: str


def meta(connection: sqlite3.Connection) -> Meta:
    """What the file says of itself. Raises `sqlite3.Error`."""
    try:
        return _meta(connection)
    except (ValueError, TypeError):  # numbers that are none: nothing has a checksum there
        raise sqlite3.DatabaseError("what it says of itself is damaged") from None


def _meta(connection: sqlite3.Connection) -> Meta:
    named = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    last = connection.execute("SELECT max(sequence) FROM log").fetchone()[0] or int(named.get("base", 0))
    position = connection.execute(
        "SELECT position FROM log WHERE position <> '' ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    stream = position[0] if position else named.get("stream", "")
    return Meta(int(named.get("width", 0)), named.get("store", ""), last, stream)


def bodies(connection: sqlite3.Connection, table: str) -> Iterator[tuple[int, str]]:
    """(row, JSON) of `experiences` or `asked`, lowest row first."""
    yield from connection.execute(f"SELECT row, body FROM {table} ORDER BY row")


def vectors(connection: sqlite3.Connection, table: str) -> Iterator[bytes]:
    """Their keys, in the same order."""
    select = f"SELECT keys.vector FROM {table} JOIN keys ON keys.sequence = {table}.row ORDER BY {table}.row"
    yield from (vector for (vector,) in connection.execute(select))


def everything(connection: sqlite3.Connection) -> Held:
    """All of it. Raises `sqlite3.Error`, and `ValueError` where a row is none."""
    said = meta(connection)
    experiences = [(row, Experience.model_validate_json(body)) for row, body in bodies(connection, "experiences")]
    asked = [(row, Asked.model_validate_json(body)) for row, body in bodies(connection, "asked")]
    return Held(
        said.width,
        said.store,
        said.sequence,
        said.position,
        experiences,
        matrix(connection, "experiences", said.width),
        asked,
        matrix(connection, "asked", said.width),
    )


def orphans(connection: sqlite3.Connection, upto: int) -> list[int]:
    """Keys that nothing needs any more once the log is trimmed up to `upto`."""
    select = """
        SELECT sequence FROM keys WHERE sequence NOT IN (SELECT row FROM experiences)
        AND sequence NOT IN (SELECT row FROM asked)
        AND sequence NOT IN (SELECT sequence FROM log WHERE sequence > ?)
        AND sequence < (SELECT max(sequence) FROM log)
    """
    return [sequence for (sequence,) in connection.execute(select, (upto,))]


def matrix(connection: sqlite3.Connection, table: str, width: int) -> Key:
    """The keys of `experiences` or `asked` `[n, width]`, lowest row first."""
    count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    made = np.empty((count, width), np.float32)
    for i, vector in enumerate(vectors(connection, table)):
        made[i] = np.frombuffer(vector, np.float32)
    return made


def log_after(connection: sqlite3.Connection, sequence: int) -> Iterator[Logged]:
    """Entries behind `sequence`, oldest first.

    Raises:
        SetupError: one is missing, damaged or none.
        sqlite3.Error: the file is.
    """
    select = """
        SELECT log.sequence, log.record, log.position, log.digest, keys.vector, keys.digest
        FROM log LEFT JOIN keys ON keys.sequence = log.sequence WHERE log.sequence > ? ORDER BY log.sequence
    """
    expected = sequence
    for number, record, position, sum_, vector, key_sum in connection.execute(select, (sequence,)):
        expected += 1
        whole = digest(number, record, position) == sum_ and (vector is None or digest(number, vector) == key_sum)
        if number != expected or not whole:
            raise SetupError(f"Entry {expected} of the log is missing or damaged.")
        try:  # a checksum says who wrote it last, not what
            key = None if vector is None else np.frombuffer(vector, np.float32)
            entry = Entry(loads(record), key)
        except (ValueError, TypeError) as error:
            raise SetupError(f"Entry {number} of the log is none: {reason(error)}.") from None
        yield Logged(number, entry, position)
