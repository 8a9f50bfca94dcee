"""Commits in the write-ahead log that SQLite does not read.

SQLite reads its log up to the first frame without its checksum, and silently goes on from there: right after a write
that a crash tore, and silent about a flipped bit, behind which acknowledged commits may lie. The format is
https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

HEAD, FRAME_HEAD = 32, 24


def last_commit(path: Path) -> int:
    """The number of the last frame that ends a commit, by the heads of the frames alone.

    Args:
        path: of the database; its log lies beside it.
    """
    log = path.with_name(f"{path.name}-wal")
    if not log.exists():
        return 0
    with log.open("rb") as file:
        head = file.read(HEAD)
        if len(head) < HEAD:
            return 0
        page, salts = int.from_bytes(head[8:12], "big"), head[16:24]
        number = last = 0
        while len(frame := file.read(FRAME_HEAD)) == FRAME_HEAD and frame[8:16] == salts:
            if len(file.read(page)) < page:
                break
            number += 1
            if any(frame[4:8]):  # the size of the database after a commit, else zero
                last = number
    return last


def unread(connection: sqlite3.Connection, last: int) -> int:
    """How many frames up to `last` SQLite does not read; those that it reads go into the database.

    Raises:
        sqlite3.Error: the file is damaged.
    """
    _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return max(last - int(frames), 0)
