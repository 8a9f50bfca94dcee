"""Who may write: the process that opened the directory last.

When a model is reloaded, the new process opens the directory while the old one still answers. The old one must not
append to a journal that the new one has already read, so that every write checks, under a lock held for that
write only, whether the lease is still its own. A process that dies leaves nothing to clean up.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixelis.errors import Unavailable
from python_backends.experience.identifier import ulid


class Lease:
    """The right to write into `directory`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "lease"
        self._token = ulid()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take the lease from whoever has it; nobody writes meanwhile."""
        with self._locked() as descriptor:
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, self._token.encode(), 0)
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Write meanwhile.

        Raises:
            Unavailable: another process has taken the lease.
        """
        with self._locked() as descriptor:
            if os.pread(descriptor, 64, 0) != self._token.encode():
                raise Unavailable(
                    "Another process has taken over the experiences.", mend="Send the request again to reach it."
                )
            yield

    @contextmanager
    def _locked(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)
