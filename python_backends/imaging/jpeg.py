"""JPEG: size, orientation, and the file without its application segments and comments."""

from __future__ import annotations

import re
import struct

import numpy as np
from numpy.typing import NDArray

from python_backends.imaging.exif import orientation
from python_backends.imaging.header import Header, damaged, no_picture

SEGMENTS = 4096
"""A file has at most so many; 20 MiB of metadata are 320."""
SCANS = 64
"""A progressive picture comes in at most so many; encoders write about 10. Each one goes over the whole picture, also
where it has a few bytes."""

_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_DATA = np.isin(np.arange(256), [0x00, *range(0xD0, 0xD8), 0xFF])
"""Whether a byte behind 0xff makes no marker in a scan: a zero is data, 0xd0-0xd7 are restarts, 0xff fills."""
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_END, _SCAN, _COMMENT = 0xD9, 0xDA, 0xFE


def read(data: bytes) -> Header:
    """The header of a JPEG; pictures that a phone puts behind the first one are left out.

    Raises:
        InvalidImage: it ends before its first scan, or has more segments or scans than a picture needs.
    """
    kept, size, turn, at, segments, components = [b"\xff\xd8"], None, None, 2, 0, 0
    while True:
        marker, begin, end = _segment(data, at)
        at, segments = end, segments + 1
        if segments > SEGMENTS:
            raise damaged(f"more than {SEGMENTS} segments")
        if marker == _SCAN:
            break
        body = data[begin + 2 : end]
        if marker in _SIZES:
            if size is not None or len(body) < 6:
                raise damaged("its size is not clear")
            size, components = struct.unpack_from(">HH", body, 1), body[5]
        elif marker == 0xE1 and turn is None and body[:6] == b"Exif\0\0":
            turn = orientation(body)
        if _belongs(marker, body):
            kept.append(b"\xff" + bytes((marker,)) + data[begin:end])
    if size is None or not all(size):
        raise no_picture()
    height, width = size
    kept += [b"\xff\xda", data[begin : _last(data, end, segments)]]
    upright = 1 if turn is None else turn
    return Header("JPEG", width, height, b"".join(kept), upright, components=components)


def _segment(data: bytes, at: int) -> tuple[int, int, int]:
    """The next marker that has a length: it, and where its length begins and its body ends."""
    while True:
        found = _MARKER.match(data, at)
        if found is None:
            raise damaged("a marker is missing") if at < len(data) else no_picture()
        marker, at = found[1][0], found.end()
        if marker == _END:
            raise damaged("no scan")
        if marker not in _ALONE:
            break
    length = int.from_bytes(data[at : at + 2], "big")
    if length < 2 or at + length > len(data):
        raise damaged("a segment is cut short")
    return marker, at, at + length


def _belongs(marker: int, body: bytes) -> bool:
    """Whether a segment is needed for the pixels: JFIF and Adobe say what the components are."""
    if marker == 0xE0:
        return body[:4] == b"JFIF"
    if marker == 0xEE:
        return body[:5] == b"Adobe"
    return not 0xE1 <= marker <= 0xEF and marker != _COMMENT


def _last(data: bytes, at: int, segments: int) -> int:
    """Where the picture ends whose first scan's data begin at `at`; the file's end where it has no end."""
    scans, places = 1, _markers(data, at)
    while True:
        place = int(np.searchsorted(places, at))
        if place == len(places):
            return len(data)
        at = int(places[place]) + 1
        marker, segments = data[at - 1], segments + 1
        if marker == _END:
            return at
        scans += marker == _SCAN
        if scans > SCANS or segments > SEGMENTS:
            raise damaged(f"more than {SCANS} scans" if scans > SCANS else f"more than {SEGMENTS} segments")
        at += int.from_bytes(data[at : at + 2], "big")


def _markers(data: bytes, at: int) -> NDArray[np.intp]:
    """Where in the scans from `at` on a marker's second byte may be. Searched at once: scans are most of a file."""
    codes = np.frombuffer(data, np.uint8)
    behind = np.flatnonzero(codes[at:-1] == 0xFF) + at + 1
    return np.asarray(behind[~_DATA[codes[behind]]])
