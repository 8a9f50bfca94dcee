"""What the processes of a fleet take at a moment: memory, open files, threads, shared memory."""

from __future__ import annotations

import contextlib
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from perf.chaos.fleet import Running
from perf.e2e.processes import usage
from server import remains

STORES = ("redis-cache", "redis-log", "prometheus")
"""They keep what they are given, up to bounds of their own."""
_NUMBER = re.compile(r"-\d+$")


@dataclass
class Taken:
    """At one moment.

    Attributes:
        at: on the monotonic clock.
        memory: bytes that belong to the processes of each kind of part alone.
        files: open descriptors, all but the stores together.
        threads: the same.
        shared: bytes in /dev/shm of all servers.
    """

    at: float
    memory: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    files: int = 0
    threads: int = 0
    shared: int = 0


def look(fleet: Running) -> Taken:
    """Now. Raises `PixelisError` where the fleet does not answer."""
    taken = Taken(time.monotonic())
    for part in fleet.ordered("status")["parts"]:
        pids = _with_children(part["pid"])
        if not pids:
            continue
        name = _NUMBER.sub("", part["part"])
        for one in usage(pids):
            kind = one.name if name == "triton" and one.name.isidentifier() else name
            taken.memory[kind] += one.private_bytes  # what is shared is shared with processes of others too
        if name not in STORES:
            for pid in pids:
                with contextlib.suppress(OSError):
                    taken.files += len(list(Path(f"/proc/{pid}/fd").iterdir()))
                    taken.threads += len(list(Path(f"/proc/{pid}/task").iterdir()))
    for replica in fleet.replicas():
        taken.shared += _shared(fleet.server_id(int(replica["replica"])))
    return taken


def _with_children(pid: int | None) -> list[int]:
    """Of a part; Triton's models are of a session of their own, and children all the same."""
    if pid is None:
        return []
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _shared(server_id: str) -> int:
    found = 0
    for path in remains.SHM.glob(f"{server_id}*"):
        with contextlib.suppress(OSError):
            found += path.stat().st_blocks * 512
    return found
