"""Databases of other versions."""

from __future__ import annotations

import sqlite3

import pytest

from pixelis.errors import SetupError
from python_backends.experience.database import SCHEMA, connect, migrate
from python_backends.experience.database.schema import MIGRATIONS, version
from tests.experience.conftest import Place, experience, fill, key, picture


def test_a_database_of_the_first_schema_is_brought_up_to_date(place: Place) -> None:
    store = place.open()
    fill(store, 5)
    before = picture(store)
    connection = sqlite3.connect(place.closed())
    connection.executescript("ALTER TABLE log DROP COLUMN position; PRAGMA user_version = 1")
    connection.close()
    again = place.open()
    assert picture(again) == before
    assert again.stats()["faults"] == []
    assert version(again._ledger.database.connection) == SCHEMA == 3
    fill(again, 1, start=9)
    assert len(place.open()) == 6


def test_a_newer_schema_is_refused_and_left_alone(place: Place) -> None:
    fill(place.open(), 2)
    connection = sqlite3.connect(place.closed())
    connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.close()
    before = place.database.read_bytes()
    with pytest.raises(SetupError, match=f"schema {SCHEMA + 1}, and this version knows {SCHEMA}") as caught:
        place.open()
    assert "newer version" in str(caught.value.mend)
    assert place.database.read_bytes() == before


def test_all_migrations_or_none(place: Place) -> None:
    place.path.mkdir()
    connection = connect(place.database)
    migrate(connection, MIGRATIONS[:1])
    with pytest.raises(sqlite3.Error):
        migrate(connection, (*MIGRATIONS, "CREATE TABLE third (x); SELECT nonsense FROM nowhere;"))
    assert version(connection) == 1
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'third'").fetchone() == (0,)
    assert "position" not in str(connection.execute("SELECT sql FROM sqlite_master").fetchall())
    migrate(connection)
    assert version(connection) == SCHEMA
    connection.close()
    store = place.open()
    store.insert(experience(), key(1))
    assert len(store) == 1
