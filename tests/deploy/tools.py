"""Programs that tests of deploy/ run, and files that they run on."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TEMPLATE = DEPLOY / "nginx" / "pixelis.conf.template"


def program(name: str) -> str:
    """Where it is; the test is skipped where it is not."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: make setup-dev, or apt-get install what tests/deploy/debian-tools lists")
    return found


def said(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a program says; of the environment it has a path, and what is given."""
    command = [program(name), *arguments]
    known = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", **environment}
    return subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True, timeout=60, check=False)


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program while a test needs it; what it says goes into `log`."""
    known = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", **environment}
    with log.open("ab") as output:
        process = subprocess.Popen([program(command[0]), *command[1:]], env=known, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def filled(folder: Path, values: Mapping[str, str]) -> Path:
    """nginx's two files as its image lays them out; the path of `nginx.conf`."""
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    (folder / "conf.d").mkdir(parents=True)
    (folder / "run").mkdir()
    (folder / "conf.d" / "pixelis.conf").write_text(text, encoding="utf-8")
    shutil.copy(DEPLOY / "nginx" / "nginx.conf", folder)
    return folder / "nginx.conf"


def nginx(conf: Path, *more: str) -> list[str]:
    """Its command line; pytest's folders are its user's alone, so the workers must be that user too."""
    return ["nginx", "-p", str(conf.parent / "run"), "-c", str(conf), *more]


def servers(*ports: int) -> str:
    """What PIXELIS_GATEWAYS and PIXELIS_TRITONS hold."""
    return " ".join(f"server 127.0.0.1:{port} max_fails=1 fail_timeout=2s;" for port in ports)
