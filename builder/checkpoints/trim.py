"""Keeps pages of mapped files from piling up in a process: whoever needs one again gets it from the file.

A library that maps weights keeps every page that it has touched. They could be dropped at any moment, and yet they
count as the process's memory; so once there are too many, they are given back.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIMIT = 3 << 28
"""Bytes of mapped files that may be resident."""
INTERVAL_S = 0.005
_STATM, _MAPS, _SMAPS = (Path("/proc/self") / name for name in ("statm", "maps", "smaps"))


@contextmanager
def trimmed(directory: Path, limit: int = LIMIT) -> Iterator[None]:
    """Within, mapped files of `directory` are let go of whenever more than `limit` bytes of files are resident.

    Linux alone; elsewhere nothing happens.
    """
    if sys.platform != "linux":
        yield
        return
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(directory.resolve(), limit, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def resident_files() -> int:
    """Bytes of mapped files that are in this process's memory."""
    return int(_STATM.read_text(encoding="utf-8").split()[2]) * mmap.PAGESIZE


def let_go(directory: Path, known: set[str] | None = None) -> None:
    """Give back the pages of every mapping of a file in `directory` that nothing was written to.

    Args:
        directory: resolved.
        known: mappings that were looked at before, which takes long; those that are found are added.
    """
    known = set() if known is None else known
    spans = _spans(directory)
    if not spans <= known:
        known |= spans & _unwritten(directory)
    madvise = ctypes.CDLL(None).madvise
    for span in spans & known:
        begin, end = (int(address, 16) for address in span.split("-"))
        madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)


def _spans(directory: Path) -> set[str]:
    """Addresses of mapped files in `directory`."""
    lines = (line.split(maxsplit=5) for line in _MAPS.read_text(encoding="utf-8").splitlines())
    return {words[0] for words in lines if words[-1].startswith(f"{directory}{os.sep}")}


def _unwritten(directory: Path) -> set[str]:
    """Those that no page of was written to: it would be lost."""
    span, found = "", set()
    for line in _SMAPS.read_text(encoding="utf-8").splitlines():
        words = line.split(maxsplit=5)
        if not words[0].endswith(":"):  # a mapping's first line; the others are `Name: value kB`
            span = words[0] if words[-1].startswith(f"{directory}{os.sep}") else ""
        elif span and words[0] == "Anonymous:" and words[1] == "0":
            found.add(span)
    return found


def _watch(directory: Path, limit: int, ended: threading.Event) -> None:
    known: set[str] = set()
    while not ended.wait(INTERVAL_S):
        if resident_files() > limit:
            let_go(directory, known)
