"""EXIF orientation, and nothing else of EXIF."""

from __future__ import annotations

import struct

ENTRIES = 512
"""Of the first directory, so many are looked at; cameras write about 15, in the order of their tags."""

_TAG = 0x0112
_WAYS = {1: "B", 3: "H", 4: "I"}
"""TIFF's whole numbers: BYTE, SHORT, LONG."""


def orientation(block: bytes) -> int:
    """Orientation 1-8 that an EXIF block says; one that is damaged or says something else counts as 1, upright.

    Only the first directory is read, entry by entry, and no value that lies outside it: time and memory do not depend
    on what the block says.

    Args:
        block: a TIFF header and what follows, with or without `Exif` and two zeros before it.
    """
    start = 6 if block[:6] == b"Exif\0\0" else 0
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[start : start + 4])
    if order is None:
        return 1
    try:
        at = start + struct.unpack_from(f"{order}I", block, start + 4)[0]
        count = struct.unpack_from(f"{order}H", block, at)[0]
        for entry in range(at + 2, at + 2 + 12 * min(count, ENTRIES), 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", block, entry)
            if tag == _TAG:
                value = struct.unpack_from(order + _WAYS[kind], block, entry + 8)[0]
                return value if values == 1 and 1 <= value <= 8 else 1
    except (struct.error, KeyError):
        return 1
    return 1
