"""What the write-ahead log holds and SQLite does not read: nothing, while another process only writes it away."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from python_backends.experience.database import wal


def _written(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE IF NOT EXISTS held (value BLOB)")
    for _ in range(20):
        connection.execute("INSERT INTO held VALUES (zeroblob(3000))")
    return connection


class Busy:
    """A connection beside which somebody else writes the log into the database, for some looks."""

    def __init__(self, real: sqlite3.Connection, looks: int) -> None:
        self.real, self.looks = real, looks

    def execute(self, statement: str) -> sqlite3.Cursor:
        """As `sqlite3.Connection` does."""
        self.looks -= 1
        return self.real.execute("SELECT 1, -1, -1" if self.looks >= 0 else statement)


def test_who_is_busy_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "held.db"
    connection = _written(path)
    seen = wal.look(path)
    assert seen.last > 20
    assert wal.unread(Busy(connection, 3), path, seen) == 0  # type: ignore[arg-type]
    assert wal.unread(connection, path, seen) == 0
    monkeypatch.setattr(wal, "PATIENCE_S", 0.05)
    assert wal.unread(Busy(connection, 10**6), path, seen) == 0  # type: ignore[arg-type]


def test_a_log_that_began_anew_misses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "held.db"
    connection = _written(path)
    seen = wal.look(path)
    connection.execute("PRAGMA wal_checkpoint(RESTART)")
    connection.execute("INSERT INTO held VALUES (zeroblob(10))")  # into a new log
    assert wal.look(path).last < seen.last
    assert wal.unread(connection, path, seen) == 0


def test_another_that_writes_the_log_away_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "held.db"
    first, ended = _written(path), threading.Event()

    def write() -> None:
        while not ended.is_set():
            first.execute("INSERT INTO held VALUES (zeroblob(3000))")
            first.execute("PRAGMA wal_checkpoint(PASSIVE)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(60):
            seen = wal.look(path)
            other = sqlite3.connect(path, isolation_level=None)
            try:
                assert wal.unread(other, path, seen) == 0
            finally:
                other.close()
    finally:
        ended.set()
        writer.join()


def test_a_frame_that_is_damaged_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "held.db"
    connection = _written(path)
    log = Path(f"{path}-wal")
    held, whole = path.read_bytes(), bytearray(log.read_bytes())
    connection.close()
    whole[len(whole) // 2] ^= 1
    path.write_bytes(held)
    log.write_bytes(whole)
    seen = wal.look(path)
    again = sqlite3.connect(path, isolation_level=None)
    assert wal.unread(again, path, seen) > 5
    again.close()
