"""The folder of the sockets, which the agent's process makes and the policy's process finds."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

FOLDER = "channel"
"""Its name in the state folder, which both processes have from the same settings."""


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[str]:
    """A short path of the folder while it is held open: a socket's path has room for 107 bytes.

    Raises:
        OSError: it is not there, no folder, or somebody else may look into it.
    """
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(held)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError(f"{folder} is not this user's alone.")
        yield f"/proc/self/fd/{held}"
    finally:
        os.close(held)


def made(folder: Path) -> None:
    """Make the folder, and remove sockets that nobody listens to any more.

    Raises:
        OSError: it cannot be made, `opened` refuses it, or this platform has no such sockets.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise OSError("this platform has no sockets in folders")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opened(folder) as path:
        for name in os.listdir(path):
            if _deaf(f"{path}/{name}"):
                with contextlib.suppress(FileNotFoundError):  # another process was first
                    os.unlink(f"{path}/{name}")


def _deaf(path: str) -> bool:
    """Whether it is a socket whose process has gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return stat.S_ISSOCK(os.lstat(path).st_mode)
        except OSError:
            return False
        return False
