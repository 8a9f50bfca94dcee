"""Opening the file, and what an error of SQLite means to the caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixelis.errors import Unavailable

FILE = "experiences.db"
PAGE = 8192
"""Bytes; a key of 1664 float32s fits into one page."""

WAIT_MS = 5000
"""For another process that is writing."""


def connect(path: Path) -> sqlite3.Connection:
    """The database at `path`, made where there is none: what is committed survives a crash of the machine.

    Transactions are begun by hand, and `wal_checkpoint` is called by hand too, beside the writes.

    Raises:
        sqlite3.Error: it is no database, or cannot be opened.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA cell_size_check = ON")
    except UnicodeDecodeError as error:
        connection.close()
        raise _no_text(error) from None
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _no_text(error: UnicodeDecodeError) -> sqlite3.DatabaseError:
    """SQLite says what is wrong with the bytes that it found; Python raises something else where those are no text."""
    return sqlite3.DatabaseError(f"malformed database schema ({error.reason})")


@contextmanager
def reader(path: Path) -> Iterator[sqlite3.Connection]:
    """The database at `path` as it is at this moment, also while a server writes.

    Raises:
        sqlite3.Error: there is none, or it cannot be read.
    """
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on nothing changes
        yield connection
    except UnicodeDecodeError as error:
        raise _no_text(error) from None
    finally:
        connection.close()


def unavailable(error: sqlite3.Error, what: str) -> Unavailable:
    """`what` did not happen, and why."""
    text = str(error)
    mend = "Look at the log of `knn`, and verify: pixelis experience verify."
    if any(words in text for words in ("full", "I/O", "readonly")):
        mend = "Free some disk."
    elif "locked" in text:
        mend = "Send the request again."
    return Unavailable(f"{what}: {text}.", mend=mend)
