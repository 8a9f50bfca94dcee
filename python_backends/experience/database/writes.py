"""Entries and what they change, in one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pixelis.errors import Unavailable
from pixelis.schema import Experience
from python_backends.experience.asked import Asked, Name
from python_backends.experience.database.connect import connect, unavailable
from python_backends.experience.database.digests import digest
from python_backends.experience.database.reads import Held, Logged, Meta, meta
from python_backends.experience.entry import Effects

NOT_RECORDED = "The experience was not recorded"
_AGAIN = "ON CONFLICT (row) DO UPDATE SET body = excluded.body, digest = excluded.digest"


class Database:
    """The file of one directory, for whoever has taken it last. One thread at a time.

    Args:
        path: of the file; made where there is none.

    Raises:
        sqlite3.Error: it is no database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = connect(path)
        self._lease: str | None = None

    def close(self) -> None:
        """Close the file; the write-ahead log goes into it where nobody else has it open."""
        self.connection.close()

    def meta(self) -> Meta:
        """What the file says of itself."""
        return meta(self.connection)

    @contextmanager
    def taking(self, lease: str) -> Iterator[None]:
        """A transaction after which nobody but the holder of `lease` writes."""
        with self._transaction():
            self._lease = lease
            self.set("lease", lease)
            yield

    @contextmanager
    def writing(self, durable: bool = True) -> Iterator[None]:
        """A transaction: all that is written in it is on disk when it ends, or nothing is.

        Args:
            durable: whether it must survive a crash of the machine too, not only one of the process.

        Raises:
            Unavailable: it could not be written, or another process has taken the file; nothing has changed.
        """
        with self._transaction(durable):
            found = self.connection.execute("SELECT value FROM meta WHERE name = 'lease'").fetchone()
            if found is None or found[0] != self._lease:
                raise Unavailable(
                    "Another process has taken over the experiences.", mend="Send the request again to reach it."
                )
            yield

    @contextmanager
    def _transaction(self, durable: bool = True) -> Iterator[None]:
        if not durable:
            self._run("PRAGMA synchronous = NORMAL")
        try:
            self._run("BEGIN IMMEDIATE")
            try:
                yield
                self._run("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
        finally:
            if not durable:
                self._run("PRAGMA synchronous = FULL")

    def _run(self, statement: str, *values: str | int | bytes) -> sqlite3.Cursor:
        try:
            return self.connection.execute(statement, values)
        except sqlite3.ProgrammingError as error:
            raise Unavailable("The experience store is closed.", mend="Open it again.") from error
        except sqlite3.Error as error:
            raise unavailable(error, NOT_RECORDED) from error

    def set(self, name: str, value: str) -> None:
        """Say `value` under `name` in `meta`."""
        self._run("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", name, value)

    def append(self, logged: Logged, effects: Effects, row: Callable[[str], int]) -> None:
        """Write an entry and what it does; within a transaction.

        Args:
            logged: the next one.
            effects: of the entry.
            row: of a living experience, by its id, as it was before.
        """
        sequence = logged.sequence
        self.log(logged)
        for experience in effects.changed:
            self._experience(row(experience.experience_id), experience)
        for experience_id in effects.removed:
            self._drop("experiences", row(experience_id))
        if effects.added is not None:
            self._experience(sequence, effects.added)
        for name in effects.forgotten:
            for (found,) in self._rows(name):
                self._drop("asked", found)
        if effects.noted is not None:
            self._asked(sequence, effects.noted)
        if effects.judged is not None:
            for (found,) in self._rows(effects.judged.name):
                self._asked(found, effects.judged)

    def log(self, logged: Logged) -> None:
        """Write an entry alone, and its key."""
        record = json.dumps(logged.entry.record, separators=(",", ":"))
        sum_ = digest(logged.sequence, record, logged.position)
        insert = "INSERT INTO log (sequence, record, position, digest) VALUES (?, ?, ?, ?)"
        self._run(insert, logged.sequence, record, logged.position, sum_)
        if logged.entry.key is not None:
            self._key(logged.sequence, logged.entry.key.tobytes())

    def fill(self, held: Held) -> None:
        """Write all of `held` into an empty file; within a transaction."""
        said = {"width": held.width, "store": held.store, "stream": held.position, "base": held.sequence}
        for name, value in said.items():
            self.set(name, str(value))
        for (row, experience), key in zip(held.experiences, held.keys, strict=True):
            self._experience(row, experience)
            self._key(row, key.tobytes())
        for (row, asked), key in zip(held.asked, held.asked_keys, strict=True):
            self._asked(row, asked)
            self._key(row, key.tobytes())

    def trim(self, upto: int, orphans: Sequence[int]) -> None:
        """Forget the log up to `upto`, but for its last entry, and the keys `orphans`; within a transaction."""
        self._run("DELETE FROM log WHERE sequence <= ? AND sequence < (SELECT max(sequence) FROM log)", upto)
        for sequence in orphans:
            self._run("DELETE FROM keys WHERE sequence = ?", sequence)

    def vacuum(self) -> None:
        """Write the file anew without its free pages. Raises `Unavailable`; it stays as it was then."""
        self._run("VACUUM")
        self._run("PRAGMA wal_checkpoint(TRUNCATE)")

    def _experience(self, row: int, one: Experience) -> None:
        text, name = one.model_dump_json(), one.experience_id
        self._run(f"INSERT INTO experiences VALUES (?, ?, ?, ?) {_AGAIN}", row, name, text, digest(row, name, text))

    def _asked(self, row: int, one: Asked) -> None:
        text, (tenant, name) = one.model_dump_json(), one.name
        self._run(
            f"INSERT INTO asked VALUES (?, ?, ?, ?, ?) {_AGAIN}", row, tenant, name, text, digest(row, name, text)
        )

    def _rows(self, name: Name) -> list[tuple[int]]:
        """The row of a noted request; none where it was forgotten."""
        return self._run("SELECT row FROM asked WHERE tenant = ? AND request_id = ?", *name).fetchall()

    def _key(self, sequence: int, vector: bytes) -> None:
        self._run("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", sequence, vector, digest(sequence, vector))

    def _drop(self, table: str, row: int) -> None:
        self._run(f"DELETE FROM {table} WHERE row = ?", row)
