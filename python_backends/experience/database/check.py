"""What is wrong with a file: its structure by SQLite's own check, its content by the checksums of the rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from python_backends.experience.database.digests import digest

_CONTENT = {
    "log": "SELECT sequence, digest, sequence, record, position FROM log",
    "keys": "SELECT sequence, digest, sequence, vector FROM keys",
    "experiences": "SELECT row, digest, row, experience_id, body FROM experiences",
    "asked": "SELECT row, digest, row, request_id, body FROM asked",
}
_RELATIONS = {
    "{n} experiences have no key": "SELECT count(*) FROM experiences WHERE row NOT IN (SELECT sequence FROM keys)",
    "{n} requests have no key": "SELECT count(*) FROM asked WHERE row NOT IN (SELECT sequence FROM keys)",
    "{n} requests are of another tenant than they say": """SELECT count(*) FROM asked
        WHERE tenant <> coalesce(json_extract(body, '$.experience.tenant'), '')""",
    "{n} keys have another width": """SELECT count(*) FROM keys, meta
        WHERE meta.name = 'width' AND length(keys.vector) <> 4 * CAST(meta.value AS INTEGER)""",
    "{n} entries of the log are missing": "SELECT max(sequence) - min(sequence) + 1 - count(*) FROM log",
}


def faults(connection: sqlite3.Connection) -> list[str]:
    """What is wrong, in words; nothing where all is well. Reads the whole file."""
    try:
        return list(_faults(connection))
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter of names that are no text any more
        return [f"it cannot be read: {error}"]


def _faults(connection: sqlite3.Connection) -> Iterator[str]:
    for (said,) in connection.execute("PRAGMA integrity_check(5)"):
        if said != "ok":
            yield " ".join(str(said).split())
    for table, select in _CONTENT.items():
        wrong = [row for row, sum_, *parts in connection.execute(select) if digest(*parts) != sum_]
        if wrong:
            yield f"{len(wrong)} rows of {table} do not have their checksum (the first is {wrong[0]})"
    for words, select in _RELATIONS.items():
        count = connection.execute(select).fetchone()[0]
        if count:
            yield words.format(n=count)
