"""Who may write, and whether anybody has a directory open.

The process that opened a directory last may write: when a model is reloaded, the new process opens it while the old one
still answers. The lease stands in the database (`meta`), and every transaction of the old one finds that it is
another's. A process that dies leaves nothing to clean up.

Beside that every open store holds a shared lock on the file `open`. A command that writes wants it alone, and is
refused while a server has the directory.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from pixelis.errors import Unavailable

FILE = "open"
WAIT_S = 10.0
"""For a command that is just writing."""


class Presence:
    """A directory that is open, until `close`.

    Args:
        directory: made where there is none.
        alone: whether nobody else may have it open.

    Raises:
        Unavailable: somebody has it open who does not allow that.
    """

    def __init__(self, directory: Path, alone: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(directory / FILE, os.O_RDWR | os.O_CREAT, 0o644)
        end = time.monotonic() + (0 if alone else WAIT_S)
        while True:
            try:
                fcntl.flock(self._descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                return
            except OSError:
                if time.monotonic() > end:
                    self.close()
                    raise _busy(directory, alone) from None
                time.sleep(0.05)

    def close(self) -> None:
        """Others may have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _busy(directory: Path, alone: bool) -> Unavailable:
    if alone:
        return Unavailable(f"A server has the experiences in {directory} open.", mend="Stop it, then try again.")
    return Unavailable(f"A command is writing the experiences in {directory}.", mend="Wait until it is done.")
