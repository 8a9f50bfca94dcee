"""diskcache without pickle: values are bytes, and what is anything else there is never loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diskcache


class PlainDisk(diskcache.Disk):  # type: ignore[misc]
    """Names are texts, values bytes; a row that says otherwise was not written by us."""

    def put(self, key: Any) -> tuple[Any, bool]:
        """The name as a column."""
        return _text(key), True

    def get(self, key: Any, raw: bool) -> Any:
        """The name of a column."""
        return _text(key) if raw else ""

    def store(self, value: Any, read: bool, key: Any = diskcache.UNKNOWN) -> tuple[int, int, str | None, bytes | None]:
        """Bytes, in a file of their own where there are many."""
        if not isinstance(value, bytes) or read:
            raise TypeError("only bytes are kept")
        stored: tuple[int, int, str | None, bytes | None] = super().store(value, read, key)
        return stored

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        """Bytes, or an error where the row is of another mode."""
        if mode not in (diskcache.core.MODE_RAW, diskcache.core.MODE_BINARY):
            raise ValueError("a value that is not bytes")
        return super().fetch(mode, filename, value, read)


def open_folder(folder: Path, budget: int, busy_s: float) -> Any:
    """The cache in `folder`; raises whatever SQLite and the file system do."""
    return diskcache.Cache(
        str(folder),
        timeout=busy_s,
        disk=PlainDisk,
        size_limit=budget,
        eviction_policy="least-recently-stored",  # reading writes nothing
        disk_min_file_size=2**16,
        sqlite_wal_autocheckpoint=64,  # pages: its log counts for the disk too
        sqlite_synchronous=0,  # a crash of the machine may cost entries, which their checksums show
    )


def _text(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError("names are texts")
    return key
