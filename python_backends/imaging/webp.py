"""WebP: size, orientation and frames. Its decoder reads no metadata, so that the file stays as it is."""

from __future__ import annotations

import struct

from python_backends.imaging.exif import orientation
from python_backends.imaging.header import Header, damaged, no_picture

CHUNKS = 65_536


def read(data: bytes) -> Header:
    """The header of a WebP; of an animation or a picture with transparency or metadata, the canvas.

    Raises:
        InvalidImage: it ends before it says its size, or has more chunks than a picture needs.
    """
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise no_picture()
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
    elif kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X":
        width, height = (int.from_bytes(body[i : i + 3], "little") + 1 for i in (4, 7))
        turn, frames = _chunks(data)
        return Header("WEBP", width, height, data, turn, frames)
    else:
        raise no_picture()
    if not (width and height):
        raise no_picture()
    return Header("WEBP", width, height, data)


def _chunks(data: bytes) -> tuple[int, int]:
    """Orientation and number of frames."""
    turn, frames, at = 1, 0, 12
    for _ in range(CHUNKS):
        if at + 8 > len(data):
            return turn, max(frames, 1)
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            turn = orientation(data[at + 8 : at + 8 + length])
        frames += kind == b"ANMF"
        at += 8 + length + (length & 1)
    raise damaged(f"more than {CHUNKS} chunks")
