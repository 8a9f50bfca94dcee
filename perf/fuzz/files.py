"""Parts of picture files, put together by hand."""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, *, depth: int = 8, colour: int = 2, more: bytes = b"") -> bytes:
    """A PNG that says any size and holds any rows, each one after its filter's byte.

    Args:
        width: said.
        height: said.
        rows: not yet compressed.
        depth: bits of a component.
        colour: PNG's type of colour.
        more: chunks before the rows.
    """
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return SIGNATURE + head + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def segment(marker: int, data: bytes) -> bytes:
    """One segment of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def directory(entries: list[tuple[int, int, int, int]], after: int = 0, order: str = "<") -> bytes:
    """An EXIF block whose first directory has `entries`: tag, type, number of values, value or offset."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    body = [struct.pack(f"{order}HHII", *one) for one in entries]
    return b"".join([mark, struct.pack(f"{order}IH", 8, len(entries)), *body, struct.pack(f"{order}I", after)])


def riff(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A WebP of `chunks`."""
    parts = [kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks]
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def extended(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    """The first chunk of a WebP that says its canvas; flag 2 = animated, 8 = EXIF."""
    return b"VP8X", bytes((flags, 0, 0, 0)) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
