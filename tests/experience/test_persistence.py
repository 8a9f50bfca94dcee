"""What is on disk after a restart, a crash and a full disk."""

from __future__ import annotations

import resource
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from pixelis.errors import SetupError, Unavailable
from python_backends.experience import ExperienceStore, KnnReply, execute
from python_backends.experience.database import reader
from tests.experience.conftest import WIDTH, Place, experience, fill, key, picture
from tests.experience.test_serve import insert, search


def test_a_restart_rebuilds_the_log_and_the_index(place: Place) -> None:
    store = place.open(capacity=8)
    ids = fill(store, 12)
    store.search(key(1)[None], 3, count=True)
    survivor = store.search(key(1)[None], 1).neighbours[0][0].experience_id
    store.feedback(survivor, True)
    store.delete(ids[0])
    before, epoch = picture(store), store.epoch
    for again in (place.open(capacity=8), place.open(capacity=8)):
        assert picture(again) == before
        assert again.stats()["indexed"] == len(again) == 7
        assert again.epoch == epoch


def test_a_snapshot_says_the_same_as_its_log(place: Place) -> None:
    store = place.open(capacity=8)
    fill(store, 12)
    before, epoch = picture(store), store.epoch
    assert store.snapshot() == 12
    assert store.stats()["since_snapshot"] == 0
    store.insert(experience("after the \u2028 snapshot"), key(99))
    again = place.open(capacity=8)
    assert len(set(picture(again)) - set(before)) == 1
    assert again.epoch == epoch + 1
    assert again.snapshot() == 13
    assert [p.name[12:24] for p in place.snapshots()] == ["000000000012", "000000000013"], "the two newest are kept"
    assert picture(place.open(capacity=8)) == picture(again)
    with reader(place.database) as connection:
        (first,) = connection.execute("SELECT min(sequence) FROM log").fetchone()
        (keys,) = connection.execute("SELECT count(*) FROM keys").fetchone()
    assert (first, keys) == (13, 8), "the log behind the older snapshot, and the keys of the living and of that log"


def test_snapshots_come_by_themselves(place: Place) -> None:
    store = place.open(every=5)
    fill(store, 12)
    end = time.monotonic() + 10
    while store.stats()["since_snapshot"] >= 5 and time.monotonic() < end:
        time.sleep(0.01)
    assert store.stats()["snapshot"] >= 5
    assert store.stats()["faults"] == []
    assert picture(place.open()) == picture(store)


def test_changes_of_one_batch_are_one_commit(place: Place) -> None:
    store = place.open()
    commits: list[str] = []
    store._ledger.database.connection.set_trace_callback(commits.append)
    replies = execute(store, [insert(i) for i in range(8)] + [search(3)] + [insert(9)])
    assert all(isinstance(reply, KnnReply) for reply in replies)
    assert commits.count("COMMIT") == 2
    assert len(place.open()) == 9


def test_a_draft_of_a_snapshot_is_none(place: Place) -> None:
    store = place.open()
    fill(store, 3)
    draft = place.path / "experiences-000000000003.snapshot.0a.draft"
    draft.write_text("{")
    assert picture(place.open()) == picture(store)
    assert not draft.exists()


class Limit:
    """Files cannot grow beyond `size` bytes: a real write that really fails half-way."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        signal.signal(signal.SIGXFSZ, self.handler)


@pytest.mark.parametrize("batch", [1, 5])
def test_a_full_disk_is_said_and_leaves_the_store_as_it_was(place: Place, batch: int) -> None:
    store = place.open(capacity=4)
    fill(store, 6)
    before, epoch, stats = picture(store), store.epoch, store.stats()
    wal = place.database.with_name(f"{place.database.name}-wal")
    with Limit(wal.stat().st_size + 300):
        replies = execute(store, [insert(20 + i) for i in range(batch)])
        assert all(isinstance(reply, Unavailable) for reply in replies)
        assert "not recorded" in str(replies[0])
        assert len(store.search(key(1)[None], 2, count=True).neighbours[0]) == 2, "a search goes on, uncounted"
        with pytest.raises(Unavailable, match="Free some disk"):
            store.insert(experience(), key(9))
    with Limit(64), pytest.raises(Unavailable, match="No snapshot"):
        store.snapshot()
    assert (picture(store), store.epoch, store.stats()) == (before, epoch, {**stats, "uncounted": 2})
    assert not list(place.path.glob("*.draft"))
    store.insert(experience("9", confidence=0.0), key(9))
    assert len(store) == store.stats()["indexed"] == 4
    assert picture(place.open(capacity=4)) == picture(store)


def test_a_database_that_may_not_grow(place: Place) -> None:
    store = place.open()
    fill(store, 3)
    connection = store._ledger.database.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    replies = [execute(store, [insert(i)])[0] for i in range(10, 60)]
    kept = [reply for reply in replies if isinstance(reply, KnnReply)]
    assert "disk is full" in str(replies[-1])
    assert 3 <= len(store) == 3 + len(kept) == store.stats()["indexed"] < 53
    assert picture(place.open()) == picture(store)


def test_a_commit_that_fails_is_no_change(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory goes back: what was evicted, counted and asked too."""
    store = place.open(capacity=4)
    fill(store, 4)
    store.asked("r", experience("blue"), key(50), "blue", [], learn=True)
    before, epoch = picture(store), store.epoch

    def change() -> None:
        with store.together():
            fill(store, 3, start=100)
            store.judge("r", None, "green")
            store.asked("s", experience("red"), key(51), "red", [], learn=True)
            store.delete(picture(store)[0][0])

    real = store._ledger.database._run

    def run(statement: str, *values: str | int | bytes) -> sqlite3.Cursor:
        if statement == "COMMIT":
            raise Unavailable("no commit")
        return real(statement, *values)

    with monkeypatch.context() as patch:
        patch.setattr(store._ledger.database, "_run", run)
        with pytest.raises(Unavailable):
            change()
    assert (picture(store), store.epoch, store.stats()["feedback_requests"]) == (before, epoch, 1)
    assert store.judge("r", True, None).right_answer == "blue"
    assert picture(place.open(capacity=4)) == picture(store)


def test_a_lower_capacity_evicts_at_the_next_start(place: Place) -> None:
    fill(place.open(), 10)
    smaller = place.open(capacity=4)
    assert sorted(n[1] for n in picture(smaller)) == ["0", "1", "2", "3"]  # the least sure have the highest priority
    assert len(place.open(capacity=4)) == 4


def test_the_store_that_was_opened_last_writes(place: Place) -> None:
    old = place.open()
    fill(old, 3)
    new = place.open()
    with pytest.raises(Unavailable, match="taken over"):
        old.insert(experience(), key(7))
    assert len(picture(old)) == 3
    new.insert(experience(), key(7))
    assert len(place.open()) == 4


def seeds(directory: Path, count: int, dtype: str = "float16") -> Path:
    directory.mkdir()
    lines = [experience(str(i), experience_id=f"seed-{i}", created_at=1.0).model_dump_json() for i in range(count)]
    (directory / "experiences.jsonl").write_text("\n".join(lines) + "\n")
    np.save(directory / "keys.npy", np.stack([key(i) for i in range(count)]).astype(dtype))
    return directory


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_seeds_fill_an_empty_directory_once(place: Place, tmp_path: Path, dtype: str) -> None:
    folder = seeds(tmp_path / "2", 6, dtype)
    store = place.open(seeds=folder)
    assert len(store) == 6
    found = store.search(key(2)[None], 1).neighbours[0][0]
    assert (found.experience_id, round(found.similarity, 2)) == ("seed-2", 1.0)
    assert found.age_hours < 0.1
    store.delete("seed-2")
    assert len(place.open(seeds=folder)) == 5


def test_seeds_that_do_not_fit(place: Place, tmp_path: Path) -> None:
    folder = seeds(tmp_path / "2", 3)
    np.save(folder / "keys.npy", np.zeros((2, WIDTH), np.float32))
    with pytest.raises(SetupError, match="for 3 experiences"):
        place.open(seeds=folder)
    (folder / "keys.npy").unlink()
    with pytest.raises(SetupError, match="pixelis build knn"):
        place.open(seeds=folder)
    assert len(place.open(seeds=tmp_path / "nothing")) == 0


def test_keys_of_another_width_are_an_error(place: Place) -> None:
    fill(place.open(), 2)
    with pytest.raises(SetupError, match="width 8, not 9"):
        ExperienceStore(place.path, width=9)
