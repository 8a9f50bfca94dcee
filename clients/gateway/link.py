"""What a worker and the ledger say to each other: a length, and a list as JSON.

From a worker `[number, name, *arguments]`, answered by `[number, result, fault]`; `[number, "end"]` takes back what was
asked under this number, or ends the turn that it was given. `Admission`'s deadlines go through as they are: the
monotonic clock is one for the machine.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

from pixelis.errors import PixelisError, from_wire

_LENGTH = struct.Struct("!I")


def packed(message: list[Any]) -> bytes:
    """A message as bytes."""
    data = json.dumps(message).encode()
    return _LENGTH.pack(len(data)) + data


async def read(reader: asyncio.StreamReader) -> list[Any] | None:
    """The next message; none where the other side has gone."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        message: list[Any] = json.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, OSError):
        return None
    return message


def fault(error: PixelisError) -> dict[str, str | None]:
    """An error as it travels."""
    return {"code": error.code, "message": error.message, "mend": error.mend}


def raised(said: dict[str, str | None]) -> PixelisError:
    """The same error again."""
    return type(from_wire(f"{said['code']}: "))(said["message"] or "", mend=said["mend"])
