"""Files that are there whole or not at all: written beside their place, and put there by one rename."""

from __future__ import annotations

import glob
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".draft"
LEFT_S = 3600.0
"""Nobody writes a draft any more that has not changed for so long."""


@contextmanager
def draft(path: Path, *, durable: bool = False, mode: int | None = None) -> Iterator[Path]:
    """A file of its own beside `path`, that takes its place when the block ends; where the block fails, it is removed.

    A process that is killed leaves one behind, `<name>.<eight hex digits>.draft`, which nobody reads; whoever writes
    `path` next removes it when it is an hour old.

    Args:
        path: its folder is made where there is none.
        durable: it is there after a crash of the machine too, once the block has ended.
        mode: its permissions; none = those that the umask leaves.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _tidy(path)
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}{SUFFIX}")  # others may be writing the same file
    handle = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else mode)
    try:
        if mode is not None:
            os.fchmod(handle, mode)
        os.close(handle)
        yield beside
        if durable:
            sync(beside)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def replace_text(path: Path, text: str, *, durable: bool = False, mode: int | None = None) -> Path:
    """Replace what `path` holds by `text`, as `draft` does; `path`. Raises `OSError`."""
    with draft(path, durable=durable, mode=mode) as beside:
        beside.write_text(text, encoding="utf-8")
    return path


def sync(path: Path) -> None:
    """Put a file on the disk, or the names in a folder. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tidy(path: Path) -> None:
    for old in path.parent.glob(f"{glob.escape(path.name)}.????????{SUFFIX}"):
        with suppress(OSError):
            if old.stat().st_mtime < time.time() - LEFT_S:
                old.unlink()
