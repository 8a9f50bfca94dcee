"""How a change is made: written into the database, done in memory, committed; all of it or nothing.

Several changes may share a transaction (one sync of the disk for all of them). Each is in memory at once, so that the
next one of the group sees it; where the commit fails, memory goes back to what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pixelis.errors import Unavailable
from python_backends.experience.database import Database, Logged
from python_backends.experience.entry import Entry
from python_backends.experience.memory import Memory, Undo
from python_backends.experience.records import plan


class Ledger:
    """The one way to change what there is. Whoever calls holds the store's lock.

    Args:
        database: taken by this process.
        memory: what it holds.
    """

    def __init__(self, database: Database, memory: Memory) -> None:
        self.database, self.memory = database, memory
        self._group: list[Undo] | None = None
        self._fault: Unavailable | None = None

    @contextmanager
    def together(self, durable: bool = True) -> Iterator[None]:
        """Make all changes within it in one transaction; within another group, in that one.

        Args:
            durable: see `Database.writing`.

        Raises:
            Unavailable: they could not be written; nothing has changed.
        """
        if self._group is not None:
            yield
            return
        self._group, self._fault = [], None
        position = self.memory.position
        try:
            with self.database.writing(durable):
                yield
                if self._fault is not None:
                    raise self._fault
        except BaseException:
            for undo in reversed(self._group):
                self.memory.undo(undo)
            self.memory.position = position
            raise
        finally:
            self._group = None

    def put(self, entry: Entry, durable: bool = True, position: str = "") -> None:
        """Make a change.

        Args:
            entry: the change.
            durable: see `Database.writing`.
            position: where in the replicas' stream it was read.

        Raises:
            NotFound, InvalidRequest: it cannot be made; see `plan`.
            Unavailable: it could not be written; nothing has changed.
        """
        effects = plan(self.memory, entry)
        logged = Logged(self.memory.sequence + 1, entry, position)
        with self.together(durable):
            if self._fault is not None:
                raise self._fault
            try:
                self.database.append(logged, effects, self.memory.population.row)
            except Unavailable as error:
                self._fault = error  # of the whole group: SQLite may have given the transaction up
                raise
            undo = self.memory.apply(effects, entry.key, logged.sequence)
            if self._group is not None:
                self._group.append(undo)
