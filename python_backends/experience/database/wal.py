"""Commits in the write-ahead log that SQLite does not read.

SQLite reads its log up to the first frame without its checksum, and silently goes on from there: right after a write
that a crash tore, and silent about a flipped bit, behind which acknowledged commits may lie. The format is
https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

HEAD, FRAME_HEAD = 32, 24
PATIENCE_S, NAP_S, LOOKS = 5.0, 0.01, 10
"""How long another process may write its log into the database, how often it is asked whether it still does, and how
often frames must be missing to be damaged."""


@dataclass(frozen=True)
class Log:
    """What lay in the log.

    Attributes:
        salts: of this log; one that begins anew has others.
        last: number of the last frame that ends a commit, by the heads of the frames alone.
    """

    salts: bytes = b""
    last: int = 0


def look(path: Path) -> Log:
    """The log beside the database in `path`."""
    log = path.with_name(f"{path.name}-wal")
    if not log.exists():
        return Log()
    with log.open("rb") as file:
        head = file.read(HEAD)
        if len(head) < HEAD:
            return Log()
        page, salts = int.from_bytes(head[8:12], "big"), head[16:24]
        number = last = 0
        while len(frame := file.read(FRAME_HEAD)) == FRAME_HEAD and frame[8:16] == salts:
            if len(file.read(page)) < page:
                break
            number += 1
            if any(frame[4:8]):  # the size of the database after a commit, else zero
                last = number
    return Log(salts, last)


def unread(connection: sqlite3.Connection, path: Path, seen: Log) -> int:
    """How many frames of the log, as it was `seen`, SQLite does not read; those that it reads go into the database.

    Another process may have the database open still, one that is about to end for instance. While that one writes its
    log into the database SQLite tells nothing of the log, so it is asked again; so it is where frames are missing, for
    they may be those of a commit that is being made. Where the log has begun anew, what was seen has been written away.

    Args:
        connection: to the database.
        path: of the database.
        seen: before the database was opened.

    Raises:
        sqlite3.Error: the file is damaged.
    """
    ends, missing, looks = time.monotonic() + PATIENCE_S, 0, 0
    while time.monotonic() < ends and looks < LOOKS:
        _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if int(frames) >= 0:
            missing, looks = seen.last - int(frames), looks + 1
            if missing <= 0 or look(path).salts != seen.salts:
                return 0
        time.sleep(NAP_S)
    return missing  # none where the log was never told of: whoever writes for so long has read it
