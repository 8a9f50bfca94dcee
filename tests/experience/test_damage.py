"""What is recovered from damaged files, and what is said about it."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from pixelis.errors import SetupError
from pixelis.settings import Retrieval
from python_backends.experience import ExperienceStore
from python_backends.experience.database import FILE, reader
from python_backends.experience.database.connect import PAGE
from python_backends.experience.recovery import RECOVERED
from python_backends.experience.snapshot import write
from tests.experience.conftest import WIDTH, Place, experience, fill, key, picture

Picture = list[tuple[object, ...]]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def flip_text(path: Path, text: bytes) -> None:
    flip(path, path.read_bytes().index(text) + 1)


def filled(place: Place) -> Picture:
    """Twelve experiences of at most eight, a snapshot after the fourth and after the eighth, all of it closed."""
    store = place.open(capacity=8)
    fill(store, 4)
    store.snapshot()
    fill(store, 4, start=4)
    store.snapshot()
    fill(store, 4, start=8)
    store.asked("r", experience("blue"), key(50), "blue", [], learn=False)
    before = picture(store)
    place.closed()
    return before


def said(store: ExperienceStore) -> str:
    return " ".join(store.stats()["faults"])


@pytest.mark.parametrize("damage", ["flip head", "flip keys", "cut", "empty"])
def test_a_damaged_snapshot_is_put_aside(place: Place, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    before = filled(place)
    path = place.snapshots()[-1]
    if damage == "cut":
        os.truncate(path, path.stat().st_size - 100)
    elif damage == "empty":
        os.truncate(path, 0)
    else:
        flip(path, 5 if damage == "flip head" else path.stat().st_size - 50)
    with caplog.at_level(logging.ERROR):
        again = place.open(capacity=8)
    assert picture(again) == before
    assert f"kept as unread-{path.name}" in said(again)
    assert "unread-" in caplog.text
    assert again.stats()["snapshot"] == 4, "the older one, and the log behind it"
    assert again.judge("r", True, None).right_answer == "blue"
    assert place.open(capacity=8).stats()["faults"] == []


def test_without_any_sound_snapshot_the_database_is_enough(place: Place) -> None:
    before = filled(place)
    for path in place.snapshots():
        flip(path, 60)
    again = place.open(capacity=8)
    assert picture(again) == before
    assert len(again.stats()["faults"]) == 3
    assert again.stats()["snapshot"] == again.epoch, "another one was taken at once"


def test_a_snapshot_of_another_width_is_not_used(place: Place, tmp_path: Path) -> None:
    before = filled(place)
    other = ExperienceStore(tmp_path / "other", Retrieval(), width=WIDTH + 1)
    other.close()
    (path,) = (tmp_path / "other").glob("*.snapshot")
    alien = path.rename(place.path / "experiences-000000000099.snapshot")
    again = place.open(capacity=8)
    assert picture(again) == before
    assert "width 9, not 8" in said(again)
    place.closed()
    for old in (*place.snapshots(), place.database):
        old.unlink()
    (place.path / f"unread-{alien.name}").rename(alien)
    with pytest.raises(SetupError, match="width 9, not 8"):
        place.open()


def test_a_snapshot_of_another_format_is_not_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = filled(place)
    with monkeypatch.context() as patch:
        patch.setattr("python_backends.experience.snapshot.FORMAT", 7)
        write(place.path)
    again = place.open(capacity=8)
    assert picture(again) == before
    assert "format 7, and this version reads 1" in said(again)


@pytest.mark.parametrize("what", ["answer in the tables", "key", "page", "head", "cut in half", "cut to nothing"])
def test_a_damaged_database_is_made_again(place: Place, what: str) -> None:
    before = filled(place)
    path = place.database
    if what == "answer in the tables":
        data = path.read_bytes()
        flip(path, data.rindex(b'"experience_id"') + 3)
    elif what == "key":
        flip_text(path, key(11).tobytes())
    elif what == "page":
        flip(path, 3 * PAGE)
    elif what == "head":
        flip(path, 3)
    else:
        os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE if what == "cut in half" else 0)
    damaged = path.read_bytes()
    again = place.open(capacity=8)
    faults = said(again)
    assert {one[1] for one in picture(again)} <= {str(i) for i in range(12)}
    lost = {one[1] for one in before} - {one[1] for one in picture(again)}
    if what == "key":
        assert lost == {"11"}
        assert "1 experiences lost their key" in faults
    elif lost:
        assert "lost" in faults
        assert again.stats()["count"] >= 4, "what the snapshot held and was not evicted since"
    assert "kept as damaged-" in faults
    (aside,) = place.path.glob(f"damaged-*-{FILE}")
    assert aside.read_bytes() == damaged or what == "cut to nothing"
    again.insert(experience("new"), key(99))
    last = place.open(capacity=8)
    assert (picture(last), last.stats()["faults"]) == (picture(again), [])
    assert last.stats()["indexed"] == len(last)


def test_damage_in_the_log_loses_nothing(place: Place) -> None:
    before = filled(place)
    connection = sqlite3.connect(place.database)
    connection.execute("UPDATE log SET record = replace(record, '9', '8') WHERE sequence = 10")
    connection.commit()
    connection.close()
    again = place.open(capacity=8)
    assert picture(again) == before
    assert "1 rows of log do not have their checksum" in said(again)
    assert "Every experience was found whole" in said(again)
    assert again.judge("r", True, None).right_answer == "blue"


def test_damaged_tables_are_made_again_from_snapshot_and_log(place: Place) -> None:
    before = filled(place)
    connection = sqlite3.connect(place.database)
    connection.execute("UPDATE experiences SET body = replace(body, '9', '8')")
    connection.commit()
    connection.close()
    again = place.open(capacity=8)
    assert picture(again) == before
    assert "snapshot of entry 8 and 5 entries of the log" in said(again)
    assert again.epoch == 13


def test_a_missing_database_is_made_again_from_the_snapshot(place: Place) -> None:
    before = filled(place)
    place.database.unlink()
    again = place.open(capacity=8)
    assert {str(i) for i in range(8)} == {one[1] for one in picture(again)} != {one[1] for one in before}
    assert "it is missing" in said(again)
    assert "changes after entry 8 are lost" in said(again)


def test_a_database_from_before_its_snapshot_is_noticed(place: Place) -> None:
    store = place.open()
    fill(store, 3)
    place.closed()
    old = place.database.read_bytes()
    store = place.open()
    fill(store, 3, start=3)
    store.snapshot()
    place.closed()
    place.database.write_bytes(old)
    again = place.open()
    assert len(again) == 6
    assert "ends at entry 3, and a snapshot holds entry 6" in said(again)


def crashed(place: Place, tmp_path: Path, count: int = 8) -> Place:
    """The files of a store as they are while it is open, as by a crash."""
    fill(place.open(), count)
    shutil.copytree(place.path, tmp_path / "crashed")
    place.closed()
    return Place(tmp_path / "crashed")


def test_a_flipped_bit_in_the_write_ahead_log_is_said(place: Place, tmp_path: Path) -> None:
    """SQLite reads up to it, and says nothing."""
    left = crashed(place, tmp_path)
    path = left.database.with_name(f"{FILE}-wal")
    flip_text(path, key(5).tobytes())
    damaged = path.read_bytes()
    again = left.open()
    assert sorted(str(one[1]) for one in picture(again)) == ["0", "1", "2", "3", "4"]
    assert "write-ahead log are damaged" in said(again)
    (aside,) = left.path.glob("damaged-*-wal")
    assert aside.read_bytes() == damaged
    again.insert(experience("new"), key(99))
    last = left.open()
    assert (len(last), last.stats()["faults"]) == (6, [])
    left.closed()


@pytest.mark.parametrize("cut", [1, 100, 5000, 9000])
def test_a_commit_that_was_torn_was_never_acknowledged(place: Place, tmp_path: Path, cut: int) -> None:
    left = crashed(place, tmp_path)
    path = left.database.with_name(f"{FILE}-wal")
    os.truncate(path, path.stat().st_size - cut)
    again = left.open()
    assert sorted(str(one[1]) for one in picture(again)) == ["0", "1", "2", "3", "4", "5", "6"]
    assert said(again) == ""
    left.closed()


def test_nothing_to_make_it_of(place: Place) -> None:
    fill(place.open(), 3)
    place.closed()
    for path in place.snapshots():
        path.unlink()
    flip(place.database, 3)
    with pytest.raises(SetupError, match="no sound snapshot") as caught:
        place.open()
    assert "Restore" in str(caught.value.mend)
    assert place.database.exists()


def test_a_recovery_that_was_interrupted_is_finished(place: Place) -> None:
    before = filled(place)
    good = place.database.read_bytes()
    (place.path / RECOVERED).write_bytes(good)
    place.database.write_bytes(b"damaged")
    again = place.open(capacity=8)
    assert picture(again) == before
    (aside,) = place.path.glob(f"damaged-*-{FILE}")
    assert aside.read_bytes() == b"damaged"
    with reader(place.database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_schema_that_is_no_text_any_more_is_damage(place: Place) -> None:
    """SQLite says it with the bytes that it found, and Python's error about those ended the start."""
    filled(place)
    data = place.database.read_bytes()
    at = data.index(b"UNIQUE (tenant, request_id") + len("UNIQUE (tenant, ")
    place.database.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    again = place.open(capacity=8)
    assert "It was made again from the snapshot of entry 8" in said(again)
    assert len(again) == 8


def test_a_width_that_is_no_number_any_more_is_damage(place: Place) -> None:
    filled(place)
    with sqlite3.connect(place.database) as connection:
        connection.execute("UPDATE meta SET value = '8x' WHERE name = 'width'")
    again = place.open(capacity=8)
    assert "It was made again from the snapshot of entry 8" in said(again)
    assert len(again) == 8
