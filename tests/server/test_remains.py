from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

from server import remains
from server.remains import Record


def server_id() -> str:
    return f"{remains.PREFIX}test-{secrets.token_hex(4)}-"


def marked_process(name: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={remains.MARK: name})
    while process.pid not in remains.of(name).processes:
        time.sleep(0.01)
    return process


def test_sweeps_what_bears_the_mark_and_nothing_else(tmp_path: Path) -> None:
    ours, other = server_id(), server_id()
    mine, theirs = marked_process(ours), marked_process(other)
    region = remains.SHM / f"{ours}abc"
    region.write_bytes(b"x")
    try:
        swept = remains.sweep(ours)
        assert (swept.processes, swept.regions) == ([mine.pid], [region.name])
        assert mine.wait(5) == -9
        assert not region.exists()
        assert theirs.poll() is None
    finally:
        theirs.kill()
        theirs.wait()
        region.unlink(missing_ok=True)


def test_a_record_lives_as_long_as_its_very_supervisor(tmp_path: Path) -> None:
    birth = remains.born(os.getpid())
    assert birth is not None
    alive = Record(server_id(), os.getpid(), birth, (1, 2, 3), "log")
    reused = Record(server_id(), os.getpid(), birth - 1, (1, 2, 3), "log")
    alive.write(tmp_path)
    path = reused.write(tmp_path)
    (tmp_path / "pixelis-broken.json").write_text("{")
    assert {record.server_id for record in remains.records(tmp_path).values()} == {alive.server_id, reused.server_id}
    assert [left.server_id for left in remains.left_behind(tmp_path)] == [reused.server_id]

    process = marked_process(reused.server_id)
    cleaned = remains.clean(tmp_path)
    assert [one.processes for one in cleaned] == [[process.pid]]
    assert process.wait(5) == -9
    assert not path.exists()
    assert remains.left_behind(tmp_path) == []


def test_a_process_that_is_gone_was_never_born() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert remains.born(process.pid) is None
