"""One at a time loads or unloads a model of a server: a load of a model that is loading may never end (Triton 2.51).

Three do: the keeper of residency, the watchdog that repairs, and `pixelis models load`. They are of different
processes, so a lock on a file tells them apart; it ends with its process.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixelis.errors import Unavailable

MARK = "PIXELIS_SERVER_ID"
"""Environment variable of every process of a server: which one it is."""
_POLL_S = 0.05


def folder(state: Path) -> Path:
    """Where the locks lie."""
    return state / "servers" / "loading"


@contextmanager
def alone(state: Path, model: str, timeout_s: float, server_id: str | None = None) -> Iterator[None]:
    """While it lasts nobody else loads or unloads `model`.

    Args:
        state: the state folder.
        model: its name.
        timeout_s: how long to wait for who does so now.
        server_id: of the server; by default the one that this process belongs to.

    Raises:
        Unavailable: somebody else took longer.
    """
    server = os.environ.get(MARK, "") if server_id is None else server_id
    place = folder(state.absolute())
    place.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place / f"{server}{model}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, model, time.monotonic() + timeout_s)
        yield
    finally:
        os.close(descriptor)  # and with it the lock ends


def _lock(descriptor: int, model: str, end: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise Unavailable(f"Model `{model}` is being loaded by somebody else.", mend="Try again.") from None
            time.sleep(_POLL_S)
