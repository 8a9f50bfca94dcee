"""Which mappings are asked for, and that asking does what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from python_backends.policy.executors.huge_pages import HUGE, LEAST, _mappings, use_huge_pages


def test_only_large_private_mappings_without_a_file_are_meant() -> None:
    end = 0x10000000 + LEAST
    lines = {
        f"{0x10000000:x}-{end:x} rw-p 00000000 00:00 0 [heap]": (0x10000000, end),
        f"{0x10000000 - 4096:x}-{end + 4096:x} rw-p 00000000 00:00 0": (0x10000000, end),
        f"{0x10000000 + 4096:x}-{end:x} rw-p 00000000 00:00 0": None,
        f"{0x10000000:x}-{end:x} r--p 00000000 00:00 0": None,
        f"{0x10000000:x}-{end:x} rw-s 00000000 00:00 0": None,
        f"{0x10000000:x}-{end:x} rw-p 00000000 fd:00 77 /weights.bin": None,
        f"{0x10000000:x}-{end:x} rw-p 00000000 00:00 0 [stack]": None,
    }
    for line, wanted in lines.items():
        assert _mappings(line) == ([wanted] if wanted else []), line


@pytest.mark.skipif(sys.platform != "linux", reason="huge pages are asked for on Linux alone")
def test_what_lies_there_stays_and_lies_on_huge_pages() -> None:
    held = np.empty(2 * LEAST, np.uint8)
    held[:] = np.arange(len(held)) % 251
    moved = use_huge_pages()
    assert (held == np.arange(len(held)) % 251).all()
    assert moved % HUGE == 0
    if moved:  # a kernel from 6.1 on that has huge pages
        pages = Path("/proc/self/smaps_rollup").read_text().split("AnonHugePages:")[1].split()[0]
        assert int(pages) << 10 >= LEAST
