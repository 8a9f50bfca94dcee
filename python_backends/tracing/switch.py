"""Whether spans are wanted, and where: a file that whoever profiles writes, and that runs out by itself."""

from __future__ import annotations

import time
from pathlib import Path

from pixelis.json_text import loads

FOLDER = "traces"
"""Within the state folder."""
WANTED = "wanted.json"
LOOK_SECONDS = 0.25
"""How often it is looked at."""


class Switch:
    """Looks, and remembers for a moment what it saw.

    Args:
        folder: where the file is.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / WANTED
        self._next = 0.0
        self._seen: tuple[int, int] | None = None
        self._until, self._to = 0.0, ""

    def folder(self) -> str:
        """Where spans are to be written; empty where none are wanted."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LOOK_SECONDS
            self._look()
        return self._to if self._to and time.time() < self._until else ""

    def _look(self) -> None:
        try:
            found = self._file.stat()
            seen = found.st_mtime_ns, found.st_ino
            if seen == self._seen:
                return
            said = loads(self._file.read_bytes())
            self._seen, self._until, self._to = seen, float(said["until"]), str(said["folder"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError):  # no file, or not one of ours
            self._seen, self._to = None, ""
