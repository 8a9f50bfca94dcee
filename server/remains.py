"""What a server leaves behind when it is killed: processes, shared-memory regions, a record; and how they go.

Every process of a server carries the environment variable `PIXELIS_SERVER_ID`, every shared-memory region's name
starts with the same id, and `state/servers/<id>.json` names the supervisor that owns them. So whatever was killed,
the rest can be told from another server's. Only the standard library: the supervisor runs without site-packages.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pixelis.draft import replace_text

MARK = "PIXELIS_SERVER_ID"
PREFIX = "pixelis-"
SHM = Path("/dev/shm")


@dataclass(frozen=True)
class Record:
    """A server that was started, as its supervisor wrote it.

    Attributes:
        server_id: the mark of its processes and regions.
        supervisor: process id of the supervisor.
        born: start time of the supervisor in clock ticks since boot; tells it from a later process of the same id.
        ports: HTTP, gRPC and metrics port.
        log: where Triton's log goes.
        stopping: it was asked to end, and will free its ports in a moment.
        repository: the model repository; empty where it is not known.
    """

    server_id: str
    supervisor: int
    born: int
    ports: tuple[int, int, int]
    log: str
    stopping: bool = False
    repository: str = ""

    def write(self, folder: Path) -> Path:
        """Writes `<folder>/<id>.json` by one rename."""
        return replace_text(folder / f"{self.server_id}.json", json.dumps(asdict(self)))

    @property
    def alive(self) -> bool:
        """Whether its supervisor still runs (and cleans up by itself)."""
        return born(self.supervisor) == self.born


@dataclass(frozen=True)
class Remains:
    """What one server left: live process ids, region names, and the record if there is one."""

    server_id: str
    processes: list[int]
    regions: list[str]
    record: Path | None = None


def write_key(folder: Path, server_id: str) -> str:
    """A new key of a server's model-repository API, in a file beside its record that only this user can read."""
    folder.mkdir(parents=True, exist_ok=True)
    key = secrets.token_urlsafe(24)
    descriptor = os.open(folder / f"{server_id}.key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key)
    return key


def read_key(folder: Path, server_id: str) -> str:
    """The key that `write_key` wrote; empty where it is not there, or is another user's."""
    try:
        return (folder / f"{server_id}.key").read_text(encoding="utf-8")
    except OSError:
        return ""


def forget(record: Path) -> None:
    """Removes a record, the key beside it, and the locks of its models."""
    locks = (record.parent / "loading").glob(f"{record.stem}*.lock")
    for path in (record, record.with_suffix(".key"), *locks):
        path.unlink(missing_ok=True)


def born(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None when there is none (or only its zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def records(folder: Path) -> dict[Path, Record]:
    """The records in `folder`; records are written by one rename, so one that cannot be read is not ours."""
    found: dict[Path, Record] = {}
    for path in sorted(folder.glob(f"{PREFIX}*.json")):
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            fields["ports"] = tuple(fields["ports"])
            record = Record(**fields)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        numbers = (record.supervisor, record.born, *record.ports)
        if len(record.ports) == 3 and all(isinstance(number, int) for number in numbers):
            found[path] = record
    return found


def marked() -> dict[str, list[int]]:
    """Processes by the server that they belong to; other users' cannot be read and are not ours."""
    found: dict[str, list[int]] = {}
    needle = MARK.encode() + b"="
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        for entry in environment.split(b"\0"):
            if entry.startswith(needle):
                found.setdefault(entry[len(needle) :].decode(errors="replace"), []).append(int(folder.name))
    return found


def of(server_id: str) -> Remains:
    """What runs and lies in shared memory for one server."""
    regions = sorted(path.name for path in SHM.glob(f"{server_id}*"))
    return Remains(server_id, marked().get(server_id, []), regions)


def make_private(server_id: str, known: set[str]) -> None:
    """Regions of a server that are not `known` yet become this user's alone; Triton makes them readable for all.

    Between their making and this others could open one: it is empty then, its model is only being loaded.
    """
    for entry in os.scandir(SHM):
        if entry.name.startswith(server_id) and entry.name not in known:
            with contextlib.suppress(FileNotFoundError):
                os.chmod(entry.path, 0o600)
            known.add(entry.name)


def left_behind(folder: Path) -> list[Remains]:
    """What the servers recorded in `folder` left, whose supervisor is dead; nothing of a live one.

    Only what is recorded here counts: another state folder, or a container that shares /dev/shm, has its own.
    """
    found = []
    for path, record in records(folder).items():
        if not record.alive:
            remains = of(record.server_id)
            found.append(Remains(record.server_id, remains.processes, remains.regions, path))
    return found


def sweep(server_id: str, *, patience_s: float = 3.0) -> Remains:
    """Kills every process of a server and removes its shared-memory regions; says what there was."""
    found = of(server_id)
    end = time.monotonic() + patience_s
    left = found.processes
    while left and time.monotonic() < end:
        for pid in left:
            _kill(pid)
        time.sleep(0.02)
        left = marked().get(server_id, [])
    for region in of(server_id).regions:
        (SHM / region).unlink(missing_ok=True)
    return found


def clean(folder: Path) -> list[Remains]:
    """Sweeps what dead servers left and forgets their records; live servers are not touched."""
    found = left_behind(folder)
    for remains in found:
        sweep(remains.server_id)
        if remains.record is not None:
            forget(remains.record)
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
