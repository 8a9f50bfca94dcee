"""The policy's end: a turn's tokens as they come, and the whole turn at its end."""

from __future__ import annotations

import socket
from pathlib import Path

from pixelis.errors import PixelisError
from pixelis.schema import PolicyEvent, Sampling
from python_backends.channel.folder import opened
from python_backends.channel.packet import MOST, Packet


class Speaker:
    """Begins turns.

    Args:
        folder: of the sockets.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def turn(self, sampling: Sampling) -> SpokenTurn | None:
        """A turn whose tokens are wanted as they come; none where the request names no channel."""
        return None if sampling.channel is None else SpokenTurn(self._folder, sampling.channel, sampling.request_id)


class SpokenTurn:
    """One turn. For one thread.

    Sending never waits: what the listener has no room for goes with the tokens after it. A listener that has gone is
    not tried again.
    """

    def __init__(self, folder: Path, channel: str, request_id: str) -> None:
        self._folder = folder
        self._channel = channel
        self._request_id = request_id
        self._socket: socket.socket | None = None
        self._tokens: list[int] = []
        self._logprobs: list[float] = []
        self._sent = 0
        self._gone = False

    def take(self, event: PolicyEvent | PixelisError) -> PolicyEvent | PixelisError | None:
        """Take the turn's next event; only the last one comes back, with all tokens."""
        if isinstance(event, PixelisError):
            self.close()
            return event
        self._tokens += event.tokens
        self._logprobs += event.logprobs
        if event.finish is None:
            self._send()
            return None
        self.close()
        return event.model_copy(update={"tokens": self._tokens, "logprobs": self._logprobs})

    def close(self) -> None:
        """Send nothing more."""
        self._gone = True
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self) -> None:
        while self._sent < len(self._tokens) and not self._gone:
            part = slice(self._sent, self._sent + MOST)
            tokens = self._tokens[part]
            packet = Packet(self._request_id, self._sent, tokens, self._logprobs[part])
            try:
                self._connected().send(packet.encode())
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            self._sent += len(tokens)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._socket = made
            with opened(self._folder) as path:
                made.connect(f"{path}/{self._channel}")
        return self._socket
