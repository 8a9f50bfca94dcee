"""One build at a time, held by the kernel: a lock dies with its process, however that dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixelis.errors import BuildError


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold `directory` against other builds.

    The lock is on the directory itself, so nothing is left behind in it and nothing can be stale.

    Raises:
        BuildError: another build holds it; which process that is, is said where the kernel tells.
    """
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = holder(handle)
            who = "" if owner is None else f" (process {owner})"
            raise BuildError(
                f"Another build is at work in {directory}{who}.",
                mend="Wait until it ends, or build elsewhere: --repository DIR and PIXELIS_STATE.",
            ) from None
        yield
    finally:
        os.close(handle)


def holder(handle: int) -> int | None:
    """The process that holds the lock on the open file `handle`; none where the kernel does not tell (not Linux)."""
    there = os.fstat(handle)
    file = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}:{there.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:  # `1: FLOCK  ADVISORY  WRITE 7197 fe:00:2146347 0 EOF`
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == file and int(words[4]) > 0:
            return int(words[4])
    return None
