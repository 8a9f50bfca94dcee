"""Snapshots with a checksum that fits, and parts that do not."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from pixelis.errors import SetupError
from python_backends.experience.snapshot import read
from tests.experience.conftest import Place, fill


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ({"experiences": 3}, None),
        ({"experiences": 1}, None),
        ({"asked": 1}, None),
        ({"experiences": -1}, None),
        ({"width": 4}, None),
        ({"width": -1}, None),
        ({"text": -5}, None),
        ({}, b"7"),
        ({}, b"null"),
        ({}, b"[1]"),
        ({}, b'["row", {}]'),
        ({}, b"[" * 5000),
    ],
)
def test_parts_that_do_not_fit(place: Place, head: dict[str, Any], line: bytes | None) -> None:
    """A TypeError of one ended the server's start; one with fewer experiences than keys was taken."""
    store = place.open()
    fill(store, 2)
    store.snapshot()
    path = place.snapshots()[-1]
    first, rest = path.read_bytes()[:-32].split(b"\n", 1)
    said = json.loads(first)
    lines, keys = rest[: said["text"]].splitlines(), rest[said["text"] :]
    text = b"\n".join([lines[0], line or lines[1], b""])
    body = json.dumps({**said, "text": len(text), **head}).encode() + b"\n" + text + keys
    path.write_bytes(body + hashlib.blake2b(body, digest_size=32).digest())
    with pytest.raises(SetupError, match=r"cannot be read"):
        read(path)
