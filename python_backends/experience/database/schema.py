"""The tables, by the migrations that make them.

    log          every change, in order; trimmed up to the older snapshot
    keys         float32 vectors, once each, under the number of the change that brought them
    experiences  the living; `row` is the change that brought the key
    asked        requests that take feedback; `row` likewise; a request's name is a tenant's own
    meta         width, store (an id of its own), lease

A migration is never edited once it was released: what is to be different is another one behind it.
"""

from __future__ import annotations

import sqlite3

from pixelis.errors import SetupError

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE log (sequence INTEGER PRIMARY KEY, record TEXT NOT NULL, digest BLOB NOT NULL);
    CREATE TABLE keys (sequence INTEGER PRIMARY KEY, vector BLOB NOT NULL, digest BLOB NOT NULL);
    CREATE TABLE experiences (
        row INTEGER PRIMARY KEY, experience_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, digest BLOB NOT NULL);
    CREATE TABLE asked (
        row INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, digest BLOB NOT NULL);
    """,
    # Where in the replicas' stream a change was read.
    "ALTER TABLE log ADD COLUMN position TEXT NOT NULL DEFAULT '';",
    # Two tenants may call their requests alike; what was there is nobody's own.
    """
    ALTER TABLE asked RENAME TO asked_by_all;
    CREATE TABLE asked (
        row INTEGER PRIMARY KEY, tenant TEXT NOT NULL, request_id TEXT NOT NULL, body TEXT NOT NULL,
        digest BLOB NOT NULL, UNIQUE (tenant, request_id));
    INSERT INTO asked SELECT row, '', request_id, body, digest FROM asked_by_all;
    DROP TABLE asked_by_all;
    """,
)
SCHEMA = len(MIGRATIONS)


def version(connection: sqlite3.Connection) -> int:
    """How many migrations the file has behind it."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Bring the tables up to date, all migrations or none.

    Raises:
        SetupError: a newer version of this program has written the file.
    """
    found = version(connection)
    if found > len(migrations):
        raise SetupError(
            f"The experiences have schema {found}, and this version knows {len(migrations)}.",
            mend="Use the newer version, or restore a copy of before its first start.",
        )
    if found == len(migrations):
        return
    steps = "".join(migrations[found:])
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {len(migrations)}; COMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
