"""Gives back the memory of a file that was mapped, read once and copied into another layout."""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path


def let_go(path: Path) -> int:
    """Drop the pages of this process's mappings of `path`; what is read again comes from the file again.

    Returns:
        Bytes of the mappings; 0 where there are none, or the system is not Linux.
    """
    if sys.platform != "linux":
        return 0
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    dropped = 0
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        span, rights, _, _, _, *name = line.split(maxsplit=5)
        # A page that could have been written to is not the file's any more, and would be lost.
        if name == [str(path.resolve())] and "w" not in rights:
            start, stop = (int(part, 16) for part in span.split("-"))
            if madvise(start, stop - start, mmap.MADV_DONTNEED) == 0:
                dropped += stop - start
    return dropped
