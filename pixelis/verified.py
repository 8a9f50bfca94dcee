"""Which files have been verified: a checkpoint of many gigabytes is hashed once, not at every start.

A file is known by device, inode, size, and the times of its last change and of its inode's. Nobody but the kernel sets
the latter, so a change that puts size and time of change back is seen. Not seen is what goes past the file system: a
disk that rots or is written to directly, a clock that was put back. `pixelis models verify` reads everything.

One file a folder, `state/verified/<digest of its path>.json`; it is a cache, and one that cannot be read or written is
none. Who may write it may have a changed file pass.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from pixelis.draft import replace_text

FOLDER = "verified"
CALM_S = 1.0
"""A file that changed later than this before it was read may change again within the same tick of its clock."""

Stamp = tuple[int, ...]


def stamp(status: os.stat_result) -> Stamp:
    """What a file is known by."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Verified:
    """What is known of one folder's files.

    Attributes:
        hashed: bytes that were read because nothing was known of them.
    """

    def __init__(self, path: Path | None, known: dict[str, tuple[Stamp, str]]) -> None:
        self._path, self._known, self._changed = path, known, False
        self._began = time.time()
        self.hashed = 0

    @classmethod
    def of(cls, folder: Path, state: Path | None) -> Verified:
        """As it was left; nothing is known without a state folder."""
        if state is None:
            return cls(None, {})
        name = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:32]
        path = state.absolute() / FOLDER / f"{name}.json"
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, {str(name): (tuple(map(int, one)), str(made)) for name, (one, made) in fields.items()})
        except (OSError, ValueError, TypeError, AttributeError):
            return cls(path, {})

    def digest(self, name: str, status: os.stat_result) -> str | None:
        """The sha-256 of a file that is as it was when it was hashed."""
        known = self._known.get(name)
        return known[1] if known is not None and known[0] == stamp(status) else None

    def note(self, name: str, before: os.stat_result, after: os.stat_result, digest: str) -> None:
        """A file was hashed; it is remembered where it held still meanwhile, and had for a while."""
        self.hashed += before.st_size
        calm = max(before.st_mtime, before.st_ctime) < self._began - CALM_S
        if calm and stamp(before) == stamp(after):
            self._known[name] = stamp(before), digest
            self._changed = True

    def keep(self) -> None:
        """Write it down, by one rename."""
        if self._path is None or not self._changed:
            return
        with contextlib.suppress(OSError):  # a state folder that cannot be written costs the next start time, no more
            replace_text(self._path, json.dumps(self._known), mode=0o600)
