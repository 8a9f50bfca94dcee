"""What a fleet is put into to be broken: walls around its disk and memory, a far Redis, a clock of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pixelis.errors import SetupError
from pixelis.settings import settings
from server.fleet.redis import answers

Kind = Literal["walled", "far", "clock"]
SHM_BYTES = 1536 * 2**20
DISK_BYTES = 256 * 2**20
"""Of /dev/shm of the whole fleet, and of the second replica's folder."""
SPACE, NEAR, FAR = "pixelis-far", "10.77.0.1", "10.77.0.2"
"""A network namespace, and an address at either end of the wire to it."""
_WALLS = """
mount -t tmpfs -o size={shm} tmpfs /dev/shm && mount -t tmpfs -o size={disk} tmpfs "$1" && shift && exec "$@"
"""


@dataclass(frozen=True)
class Surroundings:
    """Of one fleet.

    Attributes:
        environment: settings beside this process's.
        before: a command in front of `pixelis up`.
    """

    environment: dict[str, str] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)


def around(kind: Kind, state: Path) -> AbstractContextManager[Surroundings]:
    """Surroundings while they last.

    Args:
        kind: `walled` = its own repository, /dev/shm and, for the second replica, disk; `far` = both Redis on another
            host; `clock` = a clock that can be set.
        state: the fleet's folder.

    Raises:
        SetupError: this machine cannot make them, or it takes root.
    """
    return {"walled": _walled, "far": _far, "clock": _clock}[kind](state)


@contextlib.contextmanager
def _walled(state: Path) -> Iterator[Surroundings]:
    copy = linked(settings().repository.absolute(), state / "repository")
    disk = state / "fleet" / "replica-2"
    disk.mkdir(parents=True)
    told = {
        "PIXELIS_REPOSITORY": str(copy),
        "PIXELIS_FLEET__READY_TIMEOUT_S": "90",
        "PIXELIS_SERVER__READY_TIMEOUT_S": "80",
    }
    if not _may("unshare", "--mount", "true"):
        yield Surroundings(told)  # what needs walls is told as not run
        return
    script = _WALLS.format(shm=SHM_BYTES, disk=DISK_BYTES)
    yield Surroundings(told, ["unshare", "--mount", "sh", "-c", script, "sh", str(disk)])


@contextlib.contextmanager
def _far(state: Path) -> Iterator[Surroundings]:
    """Two Redis in a network namespace, at the other end of a wire that can be cut."""
    if not _may("ip", "netns", "add", SPACE):
        raise SetupError("A network of its own cannot be made.", mend="It takes root and iproute2.")
    try:
        _run("ip", "link", "add", "pixelis0", "type", "veth", "peer", "name", "pixelis1", "netns", SPACE)
        _run("ip", "address", "add", f"{NEAR}/30", "dev", "pixelis0")
        _run("ip", "link", "set", "pixelis0", "up")
        inside = ("ip", "netns", "exec", SPACE)
        _run(*inside, "ip", "address", "add", f"{FAR}/30", "dev", "pixelis1")
        _run(*inside, "ip", "link", "set", "pixelis1", "up")
        password = secrets.token_urlsafe(16)
        with contextlib.ExitStack() as stack:
            for port in (6379, 6380):
                stack.enter_context(_redis(state, password, port))
            url = f"redis://:{password}@{FAR}"
            yield Surroundings({"PIXELIS_FLEET__CACHE_URL": f"{url}:6379/0", "PIXELIS_FLEET__LOG_URL": f"{url}:6380/0"})
    finally:
        _may("ip", "netns", "delete", SPACE)


def wire(up: bool) -> None:
    """Cut the wire to the far host, or mend it."""
    _run("ip", "netns", "exec", SPACE, "ip", "link", "set", "pixelis1", "up" if up else "down")


@contextlib.contextmanager
def _redis(state: Path, password: str, port: int) -> Iterator[None]:
    folder = state / f"far-{port}"
    folder.mkdir(parents=True)
    said = ["--port", str(port), "--bind", FAR, "--requirepass", password, "--save", "", "--dir", str(folder)]
    said += ["--appendonly", "yes", "--appendfsync", "always", "--logfile", str(folder / "log")]
    process = subprocess.Popen(["ip", "netns", "exec", SPACE, "redis-server", *said])
    try:
        end = time.monotonic() + 20
        while not answers(port, password, FAR):
            if time.monotonic() > end or process.poll() is not None:
                raise SetupError("The far Redis does not start.", mend=f"See {folder / 'log'}.")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _clock(state: Path) -> Iterator[Surroundings]:
    """Every process of the fleet takes the time of day from a file (clock.c)."""
    compiler, library = shutil.which("cc"), state / "clock.so"
    if compiler is None:
        raise SetupError("There is no C compiler.", mend="apt-get install gcc.")
    source = Path(__file__).with_name("clock.c")
    _run(compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl")
    turn(state, 0)
    yield Surroundings({"LD_PRELOAD": str(library), "PIXELIS_CHAOS_CLOCK": str(_dial(state))})


def turn(state: Path, seconds: int) -> None:
    """Set the fleet's clock off by so much; processes have the file mapped, so it is written where it is."""
    dial = _dial(state)
    dial.touch()
    with dial.open("r+b") as file:
        file.write(struct.pack("=q", seconds))


def _dial(state: Path) -> Path:
    return state / "clock"


def linked(repository: Path, copy: Path) -> Path:
    """A copy of a repository whose large files are links: it may be broken without harm."""
    for path in repository.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            to = copy / path.relative_to(repository)
            to.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in (".py", ".pbtxt", ".json"):
                shutil.copyfile(path, to)
            else:
                to.symlink_to(path.resolve())
    return copy


def _may(*command: str) -> bool:
    if os.geteuid() != 0 or shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"{' '.join(command)}: {done.stderr.strip()}")
