"""Whether index, memory, database and snapshots say the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from pixelis.errors import PixelisError
from python_backends.experience.database import FILE, Held, everything, faults, log_after, reader
from python_backends.experience.memory import Memory
from python_backends.experience.records import plan
from python_backends.experience.recovery import fill_memory
from python_backends.experience.snapshot import read, snapshots

ASKED = 1000
"""So many experiences are searched for by their own key."""


@dataclass
class Verified:
    """What was compared, and what does not agree.

    Attributes:
        experiences: living ones.
        sequence: of the last change.
        snapshots: sequences of those that lead to the same; one whose log was forgotten leads nowhere.
        faults: in words; none where all agree.
    """

    experiences: int = 0
    sequence: int = 0
    snapshots: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def verify_directory(directory: Path, make: Callable[[], Memory], live: Memory | None = None) -> Verified:
    """Compare what lies in `directory`, and an index that is made of it, without changing anything.

    Args:
        directory: may be in use.
        make: an empty memory.
        live: the memory of the process that has the directory, whose lock is held; none = the one that a start makes.
    """
    found = Verified()
    kept = snapshots(directory)  # before the database is read: none of them is newer then
    try:
        with reader(directory / FILE) as connection:
            found.faults += [f"database: {fault}" for fault in faults(connection)]
            if found.faults:
                return found
            held = everything(connection)
            found.experiences, found.sequence = len(held.experiences), held.sequence
            oldest = connection.execute("SELECT min(sequence) FROM log").fetchone()[0] or held.sequence + 1
            usable = [path for sequence, path in kept if sequence + 1 >= oldest] or [path for _, path in kept[-1:]]
            made = [_from_snapshot(connection, path, make, held, found) for path in usable]
            memory = live or next(filter(None, reversed(made)), None) or _filled(make(), held)
            found.faults += _memory(memory, held, "memory")
            found.faults += _index(memory, held)
            for one in filter(None, [*made, memory if memory is not live else None]):
                one.population.indexes.close()
    except (sqlite3.Error, OSError, ValueError) as error:
        found.faults.append(f"database: it cannot be read: {error}")
    return found


def _from_snapshot(
    connection: sqlite3.Connection, path: Path, make: Callable[[], Memory], held: Held, found: Verified
) -> Memory | None:
    """The memory that a snapshot and the log lead to; none where that is not what the database holds."""
    try:
        snapshot = read(path)
        memory = make()
        if (snapshot.width, snapshot.store) != (held.width, held.store):
            found.faults.append(f"{path.name}: it belongs to another store")
            return None
        fill_memory(memory, snapshot)
        for logged in log_after(connection, snapshot.sequence):
            memory.apply(plan(memory, logged.entry), logged.entry.key, logged.sequence)
    except (PixelisError, ValidationError) as error:
        if path.exists():  # a server may have taken newer ones meanwhile
            found.faults.append(f"{path.name}: {error}")
        return None
    wrong = _memory(memory, held, f"{path.name} and the log")
    found.faults += wrong
    if not wrong:
        found.snapshots.append(snapshot.sequence)
    return None if wrong else memory


def _filled(memory: Memory, held: Held) -> Memory:
    fill_memory(memory, held)
    return memory


def _memory(memory: Memory, held: Held, what: str) -> list[str]:
    """Where a memory is not what the database holds."""
    wrong = []
    if memory.sequence != held.sequence:
        wrong.append(f"{what}: the last change is {memory.sequence}, in the database it is {held.sequence}")
    here = {one.experience_id: one for one in memory.population.living()}
    there = {one.experience_id: one for _, one in held.experiences}
    for words, ids in (
        ("are not in the database", here.keys() - there.keys()),
        ("are missing", there.keys() - here.keys()),
        ("say something else", {one for one in here.keys() & there.keys() if here[one] != there[one]}),
    ):
        if ids:
            wrong.append(f"{what}: {len(ids)} experiences {words} ({min(ids)})")
    asked = [one for one, _ in memory.asked.everything()]
    if asked != [one for _, one in held.asked]:
        wrong.append(f"{what}: the requests that take feedback are others")
    return wrong


def _index(memory: Memory, held: Held) -> list[str]:
    """Where the index does not hold the keys of the database, or does not find them."""
    population, wrong = memory.population, []
    if len(population.indexes) != len(population):
        wrong.append(f"index: it holds {len(population.indexes)} keys for {len(population)} experiences")
    lost, other, unfound = [], [], []
    for i, (_, experience) in enumerate(held.experiences):
        if experience.experience_id not in population:
            continue
        try:
            key = population.whole(experience.experience_id)[2]
        except PixelisError:
            lost.append(experience.experience_id)
            continue
        if key.tobytes() != held.keys[i].tobytes():
            other.append(experience.experience_id)
    step = max(1, len(held.experiences) // ASKED)
    for i in range(0, len(held.experiences) if len(population) else 0, step):
        experience = held.experiences[i][1]
        if not population.owned(experience.tenant):
            continue  # it is among the lost
        scores, _ = population.indexes.own(experience.tenant).exact(held.keys[i][None], 1)
        if scores[0, 0] < float(np.dot(held.keys[i], held.keys[i])) - 1e-4:
            unfound.append(experience.experience_id)
    for words, ids in (("are missing", lost), ("are others", other), ("are not found", unfound)):
        if ids:
            wrong.append(f"index: {len(ids)} keys {words} ({ids[0]})")
    return wrong
