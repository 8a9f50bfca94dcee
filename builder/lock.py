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

    The lock is on the directory itself, so nothing is left behind in it.

    Raises:
        BuildError: another build holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildError(
                f"Another build is at work in {directory}.",
                mend="Wait until it ends, or build elsewhere: --repository DIR and PIXELIS_STATE.",
            ) from None
        yield
    finally:
        os.close(handle)
