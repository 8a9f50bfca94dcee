"""Puts weights that lie in memory already onto huge pages: a decode step reads all of them, and waits for the TLB.

Linux gives a process huge pages where it asks for them (`transparent_hugepage/enabled` is mostly `madvise`), and ONNX
Runtime does not ask for its packed weights. glibc can be told to (`glibc.malloc.hugetlb`), but then it asks for
everything, the cache of rows that nobody has written yet included. So the mappings that hold data are asked for here,
once, after loading; MADV_COLLAPSE (Linux 6.1) moves what lies there at once, without it the kernel does so by and by.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import sys
from pathlib import Path

log = logging.getLogger(__name__)

HUGE = 2 << 20
"""Bytes of a huge page on x86-64 and most arm64 kernels."""
LEAST = 16 * HUGE
"""Smaller mappings are left as they are: there is little to gain."""
MADV_COLLAPSE = 25


def use_huge_pages() -> int:
    """Ask for huge pages for all that this process has in large private mappings now.

    Returns:
        Bytes that were moved at once; 0 where the kernel does not, which is no fault.
    """
    if sys.platform != "linux":
        return 0
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    moved = 0
    for start, stop in _mappings(Path("/proc/self/maps").read_text(encoding="utf-8")):
        if madvise(start, stop - start, mmap.MADV_HUGEPAGE) == 0 and madvise(start, stop - start, MADV_COLLAPSE) == 0:
            moved += stop - start
    log.info("%d MiB lie on huge pages now", moved >> 20)
    return moved


def _mappings(maps: str) -> list[tuple[int, int]]:
    """Whole huge pages of the writable, private mappings without a file, the heap among them, that are large enough."""
    found = []
    for line in maps.splitlines():
        fields = line.split()
        if (
            not fields[1].startswith("rw")
            or fields[1][3] != "p"
            or fields[4] != "0"
            or fields[5:] not in ([], ["[heap]"])
        ):
            continue
        begin, end = (int(part, 16) for part in fields[0].split("-"))
        start, stop = -(-begin // HUGE) * HUGE, end // HUGE * HUGE
        if stop - start >= LEAST:
            found.append((start, stop))
    return found
