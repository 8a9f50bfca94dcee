"""PNG: size, orientation, frames, and the file without its texts, profiles and comments."""

from __future__ import annotations

import struct

from python_backends.imaging.exif import orientation
from python_backends.imaging.header import Header, damaged, no_picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNKS = 65_536
"""A file has at most so many; 20 MiB in pieces of a kilobyte are 20 480."""

_BELONGS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"))
_HEAD = struct.Struct(">I4s")


def read(data: bytes) -> Header:
    """The header of a PNG or an animated one.

    Raises:
        InvalidImage: it ends before it says its size, or has more chunks than a picture needs.
    """
    if len(data) < 33 or data[8:16] != b"\0\0\0\rIHDR":
        raise no_picture()
    width, height = struct.unpack_from(">II", data, 16)
    if not (width and height):
        raise no_picture()
    kept, turn, frames, claimed, at = [SIGNATURE], 1, 0, 0, 8
    for _ in range(CHUNKS):
        if at + 8 > len(data):
            break
        length, kind = _HEAD.unpack_from(data, at)
        end = at + 12 + length
        if kind in _BELONGS:
            kept.append(data[at:end])
        if kind == b"IEND":
            break
        if kind == b"eXIf":
            turn = orientation(data[at + 8 : end - 4])
        frames += kind == b"fcTL"
        if kind == b"acTL":
            claimed = int.from_bytes(data[at + 8 : at + 12], "big")
        at = end
    else:
        raise damaged(f"more than {CHUNKS} chunks")
    return Header("PNG", width, height, b"".join(kept), turn, max(frames, claimed) if claimed else 1, data[24])
