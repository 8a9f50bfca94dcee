"""Good files made bad: bits, cuts, pieces moved about, and chunks that are whole but wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from perf.fuzz.files import SIGNATURE, chunk, riff


def flipped(data: bytes, rng: Random) -> bytes:
    """Some bits are others."""
    made = bytearray(data)
    for _ in range(rng.randrange(1, 20)):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def early(data: bytes, rng: Random) -> bytes:
    """Some bits are others in the first 64 bytes, where sizes and kinds are."""
    return flipped(data[:64], rng) + data[64:]


def cut(data: bytes, rng: Random) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data))]


def spliced(data: bytes, rng: Random) -> bytes:
    """A piece is missing, there twice, or replaced by noise."""
    begin, length = rng.randrange(len(data)), rng.randrange(1, 200)
    piece = rng.choice((b"", data[begin : begin + length] * 2, rng.randbytes(length)))
    return data[:begin] + piece + data[begin + length :]


def parts(data: bytes, rng: Random) -> bytes:
    """Chunks are left out, doubled, exchanged or filled with noise, each one whole and with its checksum."""
    if data[:8] == SIGNATURE:
        return SIGNATURE + b"".join(chunk(*one) for one in _mixed(_png(data), rng))
    if data[:4] == b"RIFF":
        return riff(_mixed(_riff(data), rng))
    if data[:2] == b"\xff\xd8":
        segments, rest = _jpeg(data)
        return b"\xff\xd8" + b"".join(kind + body for kind, body in _mixed(segments, rng)) + rest
    return spliced(data, rng)


DAMAGE: dict[str, Callable[[bytes, Random], bytes]] = {
    "flipped": flipped,
    "early": early,
    "cut": cut,
    "spliced": spliced,
    "parts": parts,
}

Parts = list[tuple[bytes, bytes]]


def _mixed(found: Parts, rng: Random) -> Parts:
    found = list(found)
    for _ in range(rng.randrange(1, 4)):
        if not found:
            break
        at = rng.randrange(len(found))
        kind, body = found[at]
        way = rng.randrange(4)
        if way == 0:
            del found[at]
        elif way == 1:
            found.insert(rng.randrange(len(found)), found[at])
        elif way == 2:
            found[at] = (kind, flipped(body, rng) if body else b"\0")
        else:
            found[at] = (kind, body[: rng.randrange(len(body) + 1)])
    return found


def _png(data: bytes) -> Parts:
    found, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _riff(data: bytes) -> Parts:
    found, at = [], 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        found.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return found


def _jpeg(data: bytes) -> tuple[Parts, bytes]:
    """Segments up to the first scan, each with its marker, and what follows."""
    found, at = [], 2
    while at + 4 <= len(data) and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((data[at : at + 2], data[at + 2 : at + 2 + length]))
        at += 2 + length
    return found, data[at:]
