"""A damaged database: put aside, and made again from what can still be read.

    A  the tables of experiences and requests are whole: these, with their keys; a key that is damaged comes from a
       snapshot
    B  they are not: the newest sound snapshot, and the log behind it up to its first damaged entry

The new database is made whole beside the damaged one and takes its place by renames; where a crash comes between them,
the next start goes on with them.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pixelis.draft import sync
from pixelis.errors import PixelisError, SetupError
from pixelis.schema import Experience
from python_backends.experience.asked import Asked
from python_backends.experience.database import FILE, Database, Held, log_after, migrate
from python_backends.experience.database.digests import digest
from python_backends.experience.database.reads import meta
from python_backends.experience.entry import Key
from python_backends.experience.memory import Memory
from python_backends.experience.records import plan

log = logging.getLogger(__name__)

RECOVERED = "recovered.db"
_BESIDE = ("", "-wal", "-shm")


def tidy(directory: Path) -> None:
    """Remove drafts that a crash has left, and finish a recovery that was interrupted."""
    for draft in (*directory.glob("experiences-*.draft"), *directory.glob(f"{RECOVERED}.draft*")):
        draft.unlink(missing_ok=True)
    if (directory / RECOVERED).exists():
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        for end in _BESIDE:
            path = directory / f"{FILE}{end}"
            if path.exists():
                path.rename(directory / f"damaged-{stamp}-{FILE}{end}")
        (directory / RECOVERED).rename(directory / FILE)
        sync(directory)


def recover(directory: Path, make: Callable[[], Memory], sound: Sequence[Held], faults: Sequence[str]) -> list[str]:
    """Make the database of `directory` again.

    Args:
        directory: with a damaged database, or with none.
        make: an empty memory.
        sound: what the sound snapshots hold, newest first.
        faults: what is wrong.

    Returns:
        What was done and what was lost, in sentences.

    Raises:
        SetupError: there is nothing to make it of.
    """
    damaged = _reading(directory / FILE)
    try:
        held, words = _from_tables(damaged, sound) if damaged is not None else (None, "")
        if held is None and not sound:
            raise SetupError(
                f"The database of the experiences is damaged ({'; '.join(faults)}), and there is no sound snapshot.",
                mend=f"Restore {directory} from a copy, or move it away to start again from the seeds.",
            )
        database = Database(directory / f"{RECOVERED}.draft")
        try:
            migrate(database.connection)
            with database.taking(""):
                database.fill(held or sound[0])
                if held is None:
                    words = _replayed(damaged, database, make(), sound[0])
        finally:
            database.close()
    finally:
        if damaged is not None:
            damaged.close()
    (directory / f"{RECOVERED}.draft").rename(directory / RECOVERED)
    tidy(directory)
    kept = f"What was there is kept as damaged-*-{FILE}." if damaged is not None else ""
    return [" ".join(filter(None, (f"The database of the experiences: {'; '.join(faults)}.", words, kept)))]


def fill_memory(memory: Memory, held: Held) -> None:
    """Put what a snapshot or a database holds into an empty memory."""
    memory.population.add([one for _, one in held.experiences], held.keys, [row for row, _ in held.experiences])
    for (_, asked), key in zip(held.asked, held.asked_keys, strict=True):
        memory.asked.note(asked, key)
    memory.sequence, memory.position = held.sequence, held.position


def _reading(path: Path) -> sqlite3.Connection | None:
    """The damaged file, so that nothing writes into it any more; none where it is none at all."""
    if not path.exists():
        return None
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 1000")
    return connection


def _from_tables(damaged: sqlite3.Connection, sound: Sequence[Held]) -> tuple[Held | None, str]:
    """All that the tables hold, and what was lost; nothing where a row of them is damaged."""
    try:
        said = meta(damaged)
        found = {table: list(_rows(damaged, table)) for table in ("experiences", "asked")}
        experiences = [(row, Experience.model_validate_json(body)) for row, body in found["experiences"]]
        asked = [(row, Asked.model_validate_json(body)) for row, body in found["asked"]]
    except (sqlite3.Error, ValueError):
        return None, ""
    if not said.store or (sound and sound[0].sequence > said.sequence):
        return None, ""  # never filled, or from before the snapshot
    older = {row: key for held in reversed(sound) for row, key in _keyed(held)}
    keys = {row: key for row, _ in (*experiences, *asked) if (key := _key(damaged, row, older)) is not None}
    lost = [one.experience_id for row, one in experiences if row not in keys]
    words = f"{len(lost)} experiences lost their key: {_few(lost)}." if lost else "Every experience was found whole."
    experiences = [pair for pair in experiences if pair[0] in keys]
    asked = [pair for pair in asked if pair[0] in keys]
    matrices = [
        np.stack([keys[row] for row, _ in rows]) if rows else np.zeros((0, said.width), np.float32)
        for rows in (experiences, asked)
    ]
    rows = [row for row, _ in (*experiences, *asked)]
    sequence = max([said.sequence, *rows])
    held = Held(said.width, said.store, sequence, said.position, experiences, matrices[0], asked, matrices[1])
    return held, words


def _rows(damaged: sqlite3.Connection, table: str) -> Iterator[tuple[int, str]]:
    """(row, JSON) of a table. Raises `ValueError` at the first row without its checksum."""
    name = {"experiences": "experience_id", "asked": "request_id"}[table]
    for row, named, body, sum_ in damaged.execute(f"SELECT row, {name}, body, digest FROM {table} ORDER BY row"):
        if digest(row, named, body) != sum_:
            raise ValueError(f"row {row} of {table} is damaged")
        yield row, body


def _key(damaged: sqlite3.Connection, row: int, older: dict[int, Key]) -> Key | None:
    """A key that has its checksum, from the database or else from a snapshot."""
    try:
        found = damaged.execute("SELECT vector, digest FROM keys WHERE sequence = ?", (row,)).fetchone()
    except sqlite3.Error:
        found = None
    if found is not None and digest(row, found[0]) == found[1]:
        return np.frombuffer(found[0], np.float32)
    return older.get(row)


def _keyed(held: Held) -> Iterator[tuple[int, Key]]:
    yield from zip((row for row, _ in held.experiences), held.keys, strict=True)
    yield from zip((row for row, _ in held.asked), held.asked_keys, strict=True)


def _replayed(damaged: sqlite3.Connection | None, database: Database, memory: Memory, held: Held) -> str:
    """Write what the log says after a snapshot into a new database; what that was."""
    fill_memory(memory, held)
    try:
        for logged in log_after(damaged, held.sequence) if damaged is not None else ():
            effects = plan(memory, logged.entry)
            database.append(logged, effects, memory.population.row)
            memory.apply(effects, logged.entry.key, logged.sequence)
    except (sqlite3.Error, PixelisError, ValueError) as error:
        log.info("the log ends at entry %d: %s", memory.sequence, error)
    memory.population.indexes.close()
    read = memory.sequence - held.sequence
    return (
        f"It was made again from the snapshot of entry {held.sequence} and {read} entries of the log; "
        f"changes after entry {memory.sequence} are lost, if there were any."
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")
