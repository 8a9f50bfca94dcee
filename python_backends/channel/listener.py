"""The agent's end: one socket, and a thread that hands what arrives to the turns that wait."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from python_backends.channel.folder import made, opened
from python_backends.channel.packet import Packet

_LONGEST = 1 << 16
"""Bytes of a datagram that are read."""

Take = Callable[[Packet], None]


class Listener:
    """Listens from the start.

    Args:
        folder: of the sockets; made where it is not there.

    Attributes:
        name: what a request must say in `sampling.channel`.

    Raises:
        OSError: there can be no socket, and why.
    """

    def __init__(self, folder: Path) -> None:
        self.name = secrets.token_hex(16)
        self._folder = folder
        self._turns: dict[str, Take] = {}
        self._open = True
        made(folder)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            with opened(folder) as path:
                self._socket.bind(f"{path}/{self.name}")
        except BaseException:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._read, name="channel", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def hear(self, request_id: str, take: Take) -> Iterator[None]:
        """Hand the packets of a turn to `take`, in the listener's thread, which must not wait."""
        self._turns[request_id] = take
        try:
            yield
        finally:
            del self._turns[request_id]

    def close(self) -> None:
        """Stop, and remove the socket."""
        self._open = False
        with contextlib.suppress(OSError):  # the folder may have gone before
            os.unlink(self._folder / self.name)
        with contextlib.suppress(OSError):  # not connected, says the kernel, and wakes the reader
            self._socket.shutdown(socket.SHUT_RD)
        self._thread.join(5.0)
        self._socket.close()

    def _read(self) -> None:
        while True:
            data = self._socket.recv(_LONGEST)
            if not self._open:
                return
            try:
                packet = Packet.decode(data)
            except ValueError:
                continue  # not ours; what it might have brought comes with the turn
            take = self._turns.get(packet.request_id)
            if take is not None:
                take(packet)
