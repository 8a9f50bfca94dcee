"""Room that runs out: on disk, in /dev/shm, in a process's memory."""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from perf.chaos.fault import CannotBreak, Wound
from perf.chaos.fleet import Running
from perf.chaos.processes import Pids

BLOCK = 2**20
FILLER = "chaos-filler"


def full(folder: str) -> Wound:
    """A file that takes all the room, until exit.

    Args:
        folder: as the fleet sees it, `{state}` for its own; it must lie behind the fleet's walls.
    """

    @contextlib.contextmanager
    def wound(fleet: Running) -> Iterator[Callable[[], bool]]:
        inside = Path(f"/proc/{fleet.process.pid}/root") / folder.format(state=fleet.state).lstrip("/")
        if inside.stat().st_dev == Path(folder.format(state=fleet.state)).stat().st_dev:
            raise CannotBreak("this machine makes no walls around a fleet (root, unshare)")
        filler = inside / FILLER
        try:
            _fill(filler)
            yield fleet.whole
        finally:
            filler.unlink(missing_ok=True)

    return wound


def starved(pids: Pids) -> Wound:
    """No more memory for these processes, which are killed on exit: what they are left in is not known."""

    @contextlib.contextmanager
    def wound(fleet: Running) -> Iterator[Callable[[], bool]]:
        taken = [psutil.Process(pid) for pid in pids(fleet)]
        for one in taken:
            one.rlimit(resource.RLIMIT_AS, (one.memory_info().vms, resource.RLIM_INFINITY))
        try:
            yield fleet.whole
        finally:
            for one in taken:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()

    return wound


def _fill(path: Path) -> None:
    """To the last byte: a block at a time, then ever smaller ones."""
    with path.open("wb", buffering=0) as file:
        size = BLOCK
        while size:
            try:
                file.write(b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2
