"""Checksums of rows: SQLite's own check looks at the structure of the file, not at what stands in it."""

from __future__ import annotations

import hashlib


def digest(*parts: str | int | bytes) -> bytes:
    """128 bits over the parts of a row and where each of them ends."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        made.update(len(data).to_bytes(8, "little"))
        made.update(data)
    return made.digest()
