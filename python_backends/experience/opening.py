"""What happens when a directory is opened: the newest sound snapshot, and what the log says came after it.

    no database           a directory of the old format is taken over; else the newest snapshot; else the seeds
    a sound database      snapshot + log behind it; where no snapshot fits, the tables of the database
    a damaged database    it is put aside, and made again from a snapshot and what can be read of the log (recovery.py)

Whatever was not as it should be is said in the log and in `stats`.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from pixelis.errors import PixelisError, SetupError
from python_backends.experience import recovery
from python_backends.experience.database import FILE, Database, Held, everything, faults, log_after, migrate, wal
from python_backends.experience.identifier import ulid
from python_backends.experience.legacy import generations, taken_over
from python_backends.experience.memory import Memory
from python_backends.experience.records import plan
from python_backends.experience.seeds import read_seeds
from python_backends.experience.snapshot import read, snapshots

log = logging.getLogger(__name__)


Maker = Callable[[], Memory]


@dataclass
class Opened:
    """A directory that can be written.

    Attributes:
        database: taken by the lease.
        memory: what it holds.
        snapshot: sequence of the newest sound snapshot; none where there is none.
        said: what was not as it should be, and what was done about it.
    """

    database: Database
    memory: Memory
    snapshot: int | None
    said: list[str]


def open_directory(directory: Path, make: Maker, width: int, seeds: Path | None, lease: str) -> Opened:
    """Load what `directory` holds, and take the right to write.

    Args:
        directory: made where there is none.
        make: an empty memory.
        width: D that the keys must have.
        seeds: a version folder whose experiences fill an empty directory; none = start empty.
        lease: of whoever opens.

    Raises:
        SetupError: what is there cannot be used: another width, a newer schema, or damage that nothing is left of.
    """
    said: list[str] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        recovery.tidy(directory)
        sound = _sound_snapshots(directory, width, said)
        if _recovered(directory, make, width, sound, said):
            sound = []  # they do not lead to the new database; another is taken at once
        database = Database(directory / FILE)
        try:
            with database.taking(lease):
                memory = _loaded(directory, database, make, width, sound, seeds, said)
        except BaseException:
            database.close()
            raise
        for old in generations(directory):
            old.rename(old.with_name(f"taken-over-{old.name}"))
    except (sqlite3.Error, OSError) as error:
        raise SetupError(
            f"The experiences in {directory} cannot be opened: {error}.",
            mend="Free some disk, or restore the directory from a copy.",
        ) from error
    for text in said:
        log.error("%s", text)
    return Opened(database, memory, sound[0].sequence if sound else None, said)


def _sound_snapshots(directory: Path, width: int, said: list[str]) -> list[Held]:
    """What the sound snapshots hold, newest first; the others are put aside."""
    found = []
    for _, path in reversed(snapshots(directory)):
        try:
            held = read(path)
            if held.width != width:
                raise SetupError(f"{path.name} has keys of width {held.width}, not {width}.")
            found.append(held)
        except SetupError as error:
            if not path.exists():  # the process before has just written newer ones
                continue
            aside = path.rename(path.with_name(f"unread-{path.name}"))
            said.append(f"{error} It is not used, and kept as {aside.name}.")
    return found


def _recovered(directory: Path, make: Maker, width: int, sound: list[Held], said: list[str]) -> bool:
    """Leave a database that is sound and has the tables of now; whether it had to be made again for that."""
    path = directory / FILE
    if not path.exists():
        if sound:
            said += recovery.recover(directory, make, sound, ["it is missing"])
            return True
        if not generations(directory):
            _refuse_other_widths(directory, said)
    wrong = []
    log_seen = wal.look(path)
    try:
        database = Database(path)
        try:
            passed_over = wal.unread(database.connection, path, log_seen)
            if passed_over:
                said.append(_kept_log(path, passed_over))
            migrate(database.connection)
            meta = database.meta()
            if meta.width not in (0, width):
                raise SetupError(
                    f"The experiences in {directory} have keys of width {meta.width}, not {width}.",
                    mend="Move the directory away to start again from the seeds, or serve the encoders of before.",
                )
            wrong = faults(database.connection)
            newest = next((held.sequence for held in sound if held.store == meta.store or not meta.store), -1)
            if not wrong and (newest > meta.sequence or (newest >= 0 and not meta.store)):
                wrong = [f"it ends at entry {meta.sequence}, and a snapshot holds entry {newest}"]
        finally:
            database.close()
    except sqlite3.DatabaseError as error:
        wrong = [f"it cannot be read: {error}"]
    if wrong:
        said += recovery.recover(directory, make, sound, wrong)
    return bool(wrong)


def _kept_log(path: Path, frames: int) -> str:
    """Put a copy of the write-ahead log aside; what is said about it."""
    log_path = path.with_name(f"{path.name}-wal")
    aside = shutil.copyfile(log_path, log_path.with_name(f"damaged-{time.strftime('%Y%m%dT%H%M%S')}-{log_path.name}"))
    return (
        f"The last {frames} pages of the database's write-ahead log are damaged: the changes in them are lost, or were "
        f"never acknowledged. A copy is kept as {aside.name}."
    )


def _refuse_other_widths(directory: Path, said: list[str]) -> None:
    """A directory with nothing but snapshots that cannot be used is not an empty one."""
    if said:
        raise SetupError(
            f"The experiences in {directory} cannot be used: {' '.join(said)}",
            mend="Restore the directory from a copy, or move it away to start again from the seeds.",
        )


def _loaded(
    directory: Path, database: Database, make: Maker, width: int, sound: list[Held], seeds: Path | None, said: list[str]
) -> Memory:
    """A memory of what there is; a database that was never filled is filled first."""
    meta = database.meta()
    old = generations(directory)
    if not meta.store:
        held = taken_over(old[-1], make(), width) if old else _seeded(seeds, width)
        database.fill(held)
        return _from(held, make)
    count = database.connection.execute("SELECT count(*) FROM experiences").fetchone()[0]
    for held in sound:
        if held.store == meta.store:
            memory = _from(held, make)
            try:
                for logged in log_after(database.connection, held.sequence):
                    memory.apply(plan(memory, logged.entry), logged.entry.key, logged.sequence)
                    memory.position = logged.position or memory.position
            except (PixelisError, ValidationError) as error:
                said.append(f"The snapshot of entry {held.sequence} and the log do not fit: {error}.")
                continue
            if (memory.sequence, len(memory.population)) == (meta.sequence, count):
                return memory
            said.append(f"The snapshot of entry {held.sequence} and the log do not lead to what the database holds.")
    if said:
        said.append("The index was made from the tables of the database.")
    return _from(everything(database.connection), make)


def _from(held: Held, make: Maker) -> Memory:
    memory = make()
    recovery.fill_memory(memory, held)
    return memory


def _seeded(seeds: Path | None, width: int) -> Held:
    """A new store, with what the model version brings along."""
    experiences, keys = read_seeds(seeds, width) if seeds else ([], np.zeros((0, width), np.float32))
    log.info("imported %d seed experiences", len(experiences))
    rows = list(enumerate(experiences, 1))
    return Held(width, ulid(), len(rows), "", rows, keys, [], np.zeros((0, width), np.float32))
