from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server import hiding
from server.hiding import hide

WAITS = "import sys; print(sys.argv[1], flush=True); input(); print(sys.argv[1], flush=True)"


def test_a_secret_goes_from_the_command_line_and_stays_with_who_has_read_it() -> None:
    secret = "k3y-of-a-server"
    command = [sys.executable, "-c", WAITS, f"--a:header={secret}", "--other", f"--b:header={secret}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert secret in child.stdout.readline()
        line = Path(f"/proc/{child.pid}/cmdline")
        before = line.read_bytes()
        assert before.count(secret.encode()) == 2
        assert hide(child.pid, secret)
        assert line.read_bytes() == before.replace(secret.encode(), b"*" * len(secret))
        child.stdin.write("\n")
        child.stdin.flush()
        assert secret in child.stdout.readline()


def test_where_it_cannot_be_done_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not hide(2**22 + 1, "secret")
    monkeypatch.setattr(hiding, "_ARG_START", hiding._ARG_END)  # as if the kernel told another place
    with subprocess.Popen([sys.executable, "-c", "input()", "secret"], stdin=subprocess.PIPE) as child:
        assert not hide(child.pid, "secret")
        assert b"secret" in Path(f"/proc/{child.pid}/cmdline").read_bytes()
