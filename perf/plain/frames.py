"""What travels between the plain process and its parent: a line of JSON, then bytes whose lengths it names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import IO, Any


def write_frame(file: IO[bytes], header: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Write one frame and flush it; callers in several threads hold a lock.

    Args:
        file: a pipe.
        header: JSON; `lengths` is added.
        blobs: bytes as they are.
    """
    line = json.dumps({**header, "lengths": [len(blob) for blob in blobs]}).encode() + b"\n"
    file.write(b"".join([line, *blobs]))
    file.flush()


def read_frame(file: IO[bytes]) -> tuple[dict[str, Any], list[bytes]] | None:
    """The next frame; none where the other side has closed the pipe, in mid-frame too."""
    line = file.readline()
    if not line.endswith(b"\n"):
        return None
    header: dict[str, Any] = json.loads(line)
    blobs = [file.read(length) for length in header["lengths"]]
    whole = all(len(blob) == length for blob, length in zip(blobs, header["lengths"], strict=True))
    return (header, blobs) if whole else None
