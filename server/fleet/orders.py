"""Orders to a fleet that runs, over a socket of its state folder; JSON, a line each way.

The socket is its owner's alone, as is whatever can be ordered.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pixelis.errors import PixelisError, ServingError, Unavailable, from_wire

LONGEST = 4096
PATIENCE_S = 5.0
"""For an order to be said; what comes of it may take any time."""


class Order(BaseModel):
    """What is wanted.

    Attributes:
        what: `status`, `add`, `remove` or `roll`.
        numbers: of replicas.
    """

    model_config = ConfigDict(extra="forbid")

    what: str = Field(pattern="^(status|add|remove|roll)$")
    numbers: list[int] = Field(default_factory=list)


@dataclass
class Taken:
    """An order, and whoever waits for what comes of it."""

    order: Order
    _lines: queue.Queue[dict[str, Any] | None] = field(default_factory=queue.Queue)

    def say(self, line: str) -> None:
        """How far it is."""
        self._lines.put({"say": line})

    def end(self, found: dict[str, Any] | None = None, error: PixelisError | None = None) -> None:
        """What came of it."""
        self._lines.put({"error": error.wire()} if error is not None else {"found": found or {}})
        self._lines.put(None)

    def lines(self) -> Iterator[dict[str, Any]]:
        """As they come."""
        while (line := self._lines.get()) is not None:
            yield line


class Orders:
    """Takes orders; the thread that watches the fleet carries them out, one after the other.

    Args:
        path: of the socket. One that a dead fleet left is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.taken = path, queue.SimpleQueue[Taken]()
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        before = os.umask(0o077)
        try:
            _by_name(path, self._listening.bind)
        finally:
            os.umask(before)
        self._listening.listen(8)
        threading.Thread(target=self._accept, name="orders", daemon=True).start()

    def close(self) -> None:
        """No more orders."""
        self._listening.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as file:
            connection.settimeout(PATIENCE_S)
            try:
                taken = Taken(Order.model_validate_json(file.readline(LONGEST)))
            except (OSError, ValidationError) as error:
                said = ServingError(f"No order: {error}")
                file.write(json.dumps({"error": said.wire()}).encode() + b"\n")
                return
            connection.settimeout(None)
            self.taken.put(taken)
            try:
                for line in taken.lines():
                    file.write(json.dumps(line).encode() + b"\n")
                    file.flush()
            except OSError:
                return  # whoever asked has gone; what was ordered goes on


def order(path: Path, what: str, numbers: list[int]) -> Iterator[str | dict[str, Any]]:
    """Have it done: lines as it goes on, and at last what came of it.

    Args:
        path: of the socket.
        what: see `Order`.
        numbers: of replicas.

    Raises:
        Unavailable: no fleet runs there, or it ended meanwhile.
        PixelisError: what the fleet says.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            _by_name(path, connection.connect)
        except OSError:
            raise Unavailable(f"No fleet of {path.parent} runs.", mend="Start one: pixelis up.") from None
        with connection.makefile("rwb") as file:
            file.write(Order(what=what, numbers=numbers).model_dump_json().encode() + b"\n")
            file.flush()
            for raw in file:
                line = json.loads(raw)
                if "error" in line:
                    raise from_wire(line["error"])
                if "found" in line:
                    yield dict(line["found"])
                    return
                yield str(line["say"])
    raise Unavailable("The fleet ended before it was done.")


def _by_name(path: Path, use: Any) -> None:
    """Through the folder's descriptor: the address of a socket has 107 bytes, and folders may lie deeper."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        use(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
