"""What is on disk after a restart, a crash, a torn write and a full disk."""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pixelis.errors import SetupError, Unavailable
from python_backends.experience import ExperienceStore
from tests.experience.conftest import WIDTH, Place, experience, key


def picture(store: ExperienceStore) -> list[tuple[object, ...]]:
    """Everything that a search can say, in an order of its own."""
    found = store.search(key(5)[None], 1000).neighbours[0]
    return sorted(
        (n.experience_id, n.answer, round(n.similarity, 6), n.retrieval_count, n.success_count) for n in found
    )


def fill(store: ExperienceStore, count: int) -> list[str]:
    return [store.insert(experience(str(i), confidence=i / count), key(i)) for i in range(count)]


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


def test_a_snapshot_says_the_same_as_its_journal(place: Place) -> None:
    store = place.open(capacity=8)
    fill(store, 12)
    before, epoch = picture(store), store.epoch
    assert store.snapshot() == 2
    assert store.stats()["journal_records"] == 0
    store.insert(experience("after the \u2028 snapshot"), key(99))
    again = place.open(capacity=8)
    assert len(set(picture(again)) - set(before)) == 1
    assert again.epoch == epoch + 1
    assert [p.name for p in place.path.glob("generation-*")] == ["generation-00000002"]
    assert again.snapshot() == 3
    assert picture(place.open(capacity=8)) == picture(again)


def test_snapshots_come_by_themselves(place: Place) -> None:
    store = place.open(every=5)
    fill(store, 12)
    assert store.stats()["generation"] == 3
    assert store.stats()["journal_records"] == 2
    assert picture(place.open()) == picture(store)


def test_a_lower_capacity_evicts_at_the_next_start(place: Place) -> None:
    fill(place.open(), 10)
    smaller = place.open(capacity=4)
    assert sorted(n[1] for n in picture(smaller)) == ["0", "1", "2", "3"]  # the least sure have the highest priority
    assert len(place.open(capacity=4)) == 4


@pytest.mark.parametrize("cut", [1, 7, 60])
@pytest.mark.parametrize("name", ["journal.jsonl", "journal.f32"])
def test_a_torn_tail_is_cut_and_said(place: Place, caplog: pytest.LogCaptureFixture, name: str, cut: int) -> None:
    fill(place.open(), 5)
    path = place.generation() / name
    os.truncate(path, path.stat().st_size - min(cut, 4 * WIDTH - 1))
    with caplog.at_level(logging.WARNING):
        again = place.open()
    assert sorted(n[1] for n in picture(again)) == ["0", "1", "2", "3"]
    assert "torn tail" in caplog.text
    again.insert(experience("5"), key(5))
    caplog.clear()
    assert sorted(n[1] for n in picture(place.open())) == ["0", "1", "2", "3", "5"]
    assert not caplog.text


def test_a_key_without_its_line_is_cut(place: Place) -> None:
    fill(place.open(), 3)
    keys = place.generation() / "journal.f32"
    keys.write_bytes(keys.read_bytes() + b"\x00" * 21)
    again = place.open()
    again.insert(experience("3"), key(3))
    final = place.open()
    assert final.search(key(3)[None], 1).neighbours[0][0].similarity == pytest.approx(1, abs=1e-6)


def test_damage_in_the_middle_keeps_what_it_cannot_read(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    fill(place.open(), 6)
    path = place.generation() / "journal.jsonl"
    data = bytearray(path.read_bytes())
    data[data.index(b"\n") + 3] = 0
    path.write_bytes(data)
    with caplog.at_level(logging.ERROR):
        again = place.open()
    assert [n[1] for n in picture(again)] == ["0"]
    assert "5 records are not read" in caplog.text
    assert (path.with_name("damaged-journal.jsonl")).read_bytes() == data


def test_a_flipped_bit_in_a_key_is_noticed(place: Place) -> None:
    fill(place.open(), 3)
    path = place.generation() / "journal.f32"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    assert sorted(str(n[1]) for n in picture(place.open())) == ["0", "1"]


def test_half_a_generation_is_not_one(place: Place) -> None:
    store = place.open()
    fill(store, 3)
    draft = place.path / "draft-00000002"
    draft.mkdir()
    (draft / "experiences.jsonl").write_text("{")
    again = place.open()
    assert picture(again) == picture(store)
    assert again.snapshot() == 2
    assert not draft.exists()


WRITER = """
import sys
from pathlib import Path
from pixelis.settings import Retrieval
from python_backends.experience import ExperienceStore
from tests.experience.conftest import WIDTH, experience, key
store = ExperienceStore(Path(sys.argv[1]), Retrieval(capacity=10**6), width=WIDTH, snapshot_every=40)
for i in range(10**6):
    print(store.insert(experience(str(i)), key(i)), flush=True)
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("after", [1, 39, 40, 97])
def test_kill_9_loses_nothing_that_was_acknowledged(place: Place, after: int) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WRITER, str(place.path)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline().strip() for _ in range(after)]
        writer.send_signal(signal.SIGKILL)
        said += [line.strip() for line in writer.stdout]
    again = place.open(capacity=10**6)
    assert len(said) <= len(again) <= len(said) + 1
    for i, identifier in enumerate(said):
        assert again.get(identifier).answer == str(i)
    assert again.stats()["indexed"] == len(again)
    last = again.search(key(len(said) - 1)[None], 1).neighbours[0][0]
    assert last.experience_id == said[-1]


@pytest.mark.timeout(60)
def test_a_full_disk_is_said_and_leaves_the_store_as_it_was(place: Place) -> None:
    store = place.open()
    fill(store, 3)
    before, size = picture(store), (place.generation() / "journal.jsonl").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, hard))  # a real write that really fails half-way
    try:
        with pytest.raises(Unavailable, match="not recorded"):
            store.insert(experience(), key(9))
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
        with pytest.raises(Unavailable, match="No snapshot"):
            store.snapshot()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert picture(store) == before
    store.insert(experience("9"), key(9))
    assert picture(place.open()) == picture(store)


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
