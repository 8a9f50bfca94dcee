"""Files that would cost far more than their size: in pixels, in memory, or in steps."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from random import Random

from PIL import Image

from perf.fuzz.files import chunk, directory, extended, png, riff, segment


def small(kind: str, **options: object) -> bytes:
    """A good picture of 16x16."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((16, 16)).convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


def claims(rng: Random) -> bytes:
    """A file that says it is huge, and is not."""
    side = rng.choice((9000, 16_383, 60_000))
    jpeg = small("JPEG")
    at = jpeg.index(b"\xff\xc0")
    gif = b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + b","
    return rng.choice(
        (
            png(side, side, b"\0" * 64),
            png(2**31 - 1, 1, b"\0" * 64),
            jpeg[: at + 5] + struct.pack(">HH", min(side, 65_500), 65_500) + jpeg[at + 9 :],
            riff([extended(side, side, 2), (b"ANMF", b"\0" * 24)]),
            gif + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x01\0\0;",
        )
    )


def exif(rng: Random, room: int = 2**20) -> bytes:
    """Thousands of entries that all name the same piece of the file."""
    count = 65_535
    block = directory([(tag, 1, room, 12 * count + 14) for tag in range(count)]) + b"\0" * room
    kind = rng.choice(("JPEG", "PNG", "WEBP"))
    if kind == "PNG":
        data = small("PNG")
        return data[:33] + chunk(b"eXIf", block) + data[33:]
    if kind == "WEBP":
        return riff([extended(16, 16, 8), (b"VP8 ", small("WEBP")[20:]), (b"EXIF", block)])
    parts = [block[i : i + 65_000] for i in range(0, len(block), 65_000)]
    data = small("JPEG")
    return data[:2] + b"".join(segment(0xE1, b"Exif\0\0" + part) for part in parts) + data[2:]


def loops(rng: Random) -> bytes:
    """Directories that name themselves as the next one, or as their own EXIF."""
    order = rng.choice("<>")
    block = directory([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0x0112, rng.randrange(14), 1, 6)], 8, order)
    data = small("JPEG")
    return data[:2] + segment(0xE1, b"Exif\0\0" + block) + data[2:]


def comment(rng: Random, size: int = 2**26) -> bytes:
    """A comment or colour profile of a PNG that is large when decompressed."""
    packed = zlib.compress(b"\0" * size)
    bomb = rng.choice((chunk(b"zTXt", b"Comment\0\0" + packed), chunk(b"iCCP", b"profile\0\0" + packed)))
    data = small("PNG")
    return data[:33] + bomb + data[33:]


def pieces(rng: Random, count: int = 200_000) -> bytes:
    """A file of very many very small parts."""
    data, moving = small("PNG"), b"GIF89a\x10\0\x10\0\0\0\0"
    jpeg = small("JPEG")
    return rng.choice(
        (
            data[:33] + chunk(b"IDAT", b"") * count + data[33:],
            jpeg[:2] + segment(0xFE, b"") * count + jpeg[2:],
            jpeg[:2] + b"\xff" * 20 * count + jpeg[2:],
            moving + b"!\xfe" + b"\x01x" * count + b"\0;",
            moving + (b"!\xfe" + b"\x0f" + b"x" * 15 + b"\0") * count + b";",
            riff([extended(16, 16, 2), *[(b"XXXX", b"")] * count]),
        )
    )


def scans(rng: Random, count: int = 5000) -> bytes:
    """A progressive JPEG that goes over a large picture again and again, a few bytes each time."""
    buffer = io.BytesIO()
    Image.new("L", (5000, 5000)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def rows(rng: Random, size: int = 2**26) -> bytes:
    """A small picture whose compressed rows go on for long after its end."""
    return png(16, 16, b"\0" * size)


BOMBS: dict[str, Callable[[Random], bytes]] = {
    "claims": claims,
    "exif": exif,
    "loops": loops,
    "comment": comment,
    "pieces": pieces,
    "scans": scans,
    "rows": rows,
}
