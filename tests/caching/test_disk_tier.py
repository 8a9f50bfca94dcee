"""The tier on disk: found after a restart, within its budget, and harmless where the disk is full or damaged."""

from __future__ import annotations

import os
import pickle
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.caching.conftest import Clock, cache, key

pytest.importorskip("diskcache", reason="the package diskcache is not installed: make setup-dev")

from python_backends.caching.disk_tier import DiskTier

MIB = 2**20


def serves(below: DiskTier) -> None:
    """Requests are answered, errors are counted."""
    made = cache([below])
    for number in range(5):
        assert made.get_or(key(number), lambda: "x" * 1000) == ("x" * 1000, False)
        assert made.get_or(key(number), lambda: "no") == ("x" * 1000, True), "memory goes on"
    assert below.counts.snapshot()["errors"] > 0


def test_what_was_kept_is_found_after_a_restart_and_moves_up(tmp_path: Path) -> None:
    first = cache([DiskTier(tmp_path, MIB, None)])
    first.put(key(1), "small")
    first.put(key(2), "large" * 30_000)
    first.close()
    below = DiskTier(tmp_path, MIB, None)
    second = cache([below])
    assert [second.get(key(1)), second.get(key(2)), second.get(key(1))] == ["small", "large" * 30_000, "small"]
    assert (below.counts.snapshot()["hits"], second.memory.counts.snapshot()["hits"]) == (2, 1)
    assert below.held()[0] == 2


def test_the_budget_holds(tmp_path: Path) -> None:
    below = DiskTier(tmp_path, MIB, None)
    for number in range(400):
        below.put_many({key(number).name: os.urandom(20_000)})
    assert below.held()[0] < 100
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 2 * MIB


def test_ages_and_clocks_that_jump(tmp_path: Path) -> None:
    clock = Clock()
    below = DiskTier(tmp_path, MIB, 10.0, clock)
    below.put_many({key(1).name: b"x"})
    clock.now += 9
    assert below.get_many([key(1)])[key(1).name].age_s == 9
    clock.now -= 3600
    assert below.get_many([key(1)]) == {}
    clock.now += 3601
    assert below.get_many([key(1)]) == {}
    counts = below.counts.snapshot()
    assert (counts["errors"], counts["expiries"]) == (1, 1)


def test_clearing(tmp_path: Path) -> None:
    below = DiskTier(tmp_path, MIB, None)
    for version in "34":
        below.put_many({key(1, {"policy": version}).name: b"x"})
    assert below.clear("thing", "policy-3") == 1
    assert below.held()[0] == 1


def test_rows_that_are_damaged_or_pickles_are_never_loaded(tmp_path: Path) -> None:
    cache([DiskTier(tmp_path, MIB, None)]).put(key(1), "one")
    cache([DiskTier(tmp_path, MIB, None)]).put(key(2), "two")

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "loaded"),)

    with sqlite3.connect(tmp_path / "cache.db") as database:
        row = "UPDATE Cache SET mode = ?, value = ? WHERE key = ?"
        database.execute(row, (4, pickle.dumps(Evil()), key(1).name))
        database.execute("UPDATE Cache SET value = ? WHERE key = ?", (b"garbage", key(2).name))
    below = DiskTier(tmp_path, MIB, None)
    assert below.get_many([key(1), key(2)]) == {}
    assert below.counts.snapshot()["errors"] == 2
    assert not (tmp_path / "loaded").exists()


def test_a_damaged_database(tmp_path: Path) -> None:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "cache.db").write_bytes(b"no database" * 1000)
    serves(DiskTier(tmp_path, MIB, None))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    below = DiskTier(tmp_path / "file" / "cache", MIB, None)
    serves(below)
    assert below.counts.snapshot()["errors"] == 1, "it is not tried at every request"


FULL = """
import resource, sys
from pathlib import Path
from tests.caching.conftest import cache, key
from tests.caching.test_disk_tier import serves
from python_backends.caching.disk_tier import DiskTier

folder = Path(sys.argv[1])
early = DiskTier(folder, 2**20, None)
early.put_many({key(99).name: b'"there"'})
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))  # no write succeeds any more
serves(early)
serves(DiskTier(folder / "new", 2**20, None))
assert cache([early]).get(key(99)) == "there", "what is there is still read"
print("served")
"""


def test_a_disk_without_room(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "served\n"), done.stderr


READ_ONLY = """
import ctypes, os, subprocess, sys
from pathlib import Path
from tests.caching.conftest import cache, key
from tests.caching.test_disk_tier import serves
from python_backends.caching.disk_tier import DiskTier

folder = sys.argv[1]
if ctypes.CDLL(None, use_errno=True).unshare(0x00020000):  # CLONE_NEWNS: mounts of this process alone
    print("no mounts")
    sys.exit(0)
run = lambda *words: subprocess.run(words, check=True, capture_output=True)
try:
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder)
except (OSError, subprocess.CalledProcessError):
    print("no mounts")
    sys.exit(0)
Path(folder, "rest").write_bytes(b"x" * 100_000)
small = DiskTier(Path(folder, "cache"), 2**20, None)
for number in range(50):
    small.put_many({key(100 + number).name: os.urandom(9000)})
serves(small)
Path(folder, "seen").mkdir()
run("mount", "--bind", folder, f"{folder}/seen")
run("mount", "-o", "remount,ro,bind", f"{folder}/seen")
serves(DiskTier(Path(folder, "seen", "cache"), 2**20, None))
serves(DiskTier(Path(folder, "seen", "other"), 2**20, None))
print("served")
"""


def test_a_tiny_disk_and_one_that_is_read_only(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", READ_ONLY, str(tmp_path)], capture_output=True, text=True, timeout=60)
    if done.stdout == "no mounts\n":
        pytest.skip("a file system cannot be mounted here")
    assert (done.returncode, done.stdout) == (0, "served\n"), done.stderr
