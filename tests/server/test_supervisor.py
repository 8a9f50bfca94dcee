"""The supervisor, with small programs in Triton's place."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from server import remains
from server.embedded import _supervise
from server.supervisor import Task

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
BREEDS = (
    "import subprocess, sys, time; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True); "
    "print('up', flush=True); time.sleep(60)"
)


def task(folder: Path, code: str, grace_s: float = 5.0) -> Task:
    name = f"{remains.PREFIX}test-{secrets.token_hex(4)}-"
    (folder / "log").touch()
    environment = {remains.MARK: name}
    command = [sys.executable, "-c", code]
    return Task(name, command, environment, [1, 2, 3], str(folder / "log"), str(folder / "servers"), grace_s)


def until_up(folder: Path) -> None:
    end = time.monotonic() + 10
    while "up" not in (folder / "log").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


def ended(process: subprocess.Popen[bytes], given: Task) -> int:
    assert process.stdin is not None
    code = process.wait(15)
    process.stdin.close()
    assert remains.of(given.server_id).processes == []
    assert list(Path(given.records).iterdir()) == []
    return code


def test_gives_back_the_exit_code(tmp_path: Path) -> None:
    given = task(tmp_path, "import sys; sys.exit(7)")
    assert ended(_supervise(given, tmp_path / "log"), given) == 7


def test_the_end_of_the_pipe_stops_a_process_that_ignores_sigterm(tmp_path: Path) -> None:
    given = task(tmp_path, STUBBORN, grace_s=0.5)
    process = _supervise(given, tmp_path / "log")
    until_up(tmp_path)
    assert len(remains.records(tmp_path / "servers")) == 1
    assert process.stdin is not None
    process.stdin.close()
    assert ended(process, given) == 0


def test_a_child_that_left_the_group_is_found_by_its_mark(tmp_path: Path) -> None:
    given = task(tmp_path, BREEDS)
    process = _supervise(given, tmp_path / "log")
    until_up(tmp_path)
    assert len(remains.of(given.server_id).processes) == 2
    process.send_signal(signal.SIGTERM)
    assert ended(process, given) == 0


def test_a_killed_supervisor_takes_its_process_with_it(tmp_path: Path) -> None:
    given = task(tmp_path, STUBBORN)
    process = _supervise(given, tmp_path / "log")
    until_up(tmp_path)
    process.kill()
    process.wait()
    end = time.monotonic() + 5
    while remains.of(given.server_id).processes and time.monotonic() < end:
        time.sleep(0.02)
    assert remains.of(given.server_id).processes == []
    assert [one.server_id for one in remains.clean(tmp_path / "servers")] == [given.server_id]


@pytest.mark.parametrize("inherits", [False, True])
def test_the_parents_death_is_noticed_even_if_the_pipe_stays_open(tmp_path: Path, inherits: bool) -> None:
    given = task(tmp_path, STUBBORN, grace_s=0.3)
    code = (
        "import json, os, sys, time; from pathlib import Path\n"
        "from server.embedded import _supervise; from server.supervisor import Task\n"
        f"_supervise(Task(**json.loads({json.dumps(asdict(given))!r})), Path({str(tmp_path / 'log')!r}))\n"
        f"pid = os.fork() if {inherits} else 1\n"
        "print(pid, flush=True) if pid else None\n"
        "time.sleep(60)"
    )
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    fork = int(parent.stdout.readline())
    until_up(tmp_path)
    parent.kill()
    parent.wait()
    end = time.monotonic() + 10
    while (remains.of(given.server_id).processes or list((tmp_path / "servers").iterdir())) and time.monotonic() < end:
        time.sleep(0.05)
    assert remains.of(given.server_id).processes == []
    assert list((tmp_path / "servers").iterdir()) == []
    if inherits:
        os.kill(fork, signal.SIGKILL)
    parent.stdout.close()
