"""One datagram: tokens of a turn, and the place of the first of them in it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_HEAD = struct.Struct("<III")
"""Bytes of the request id, place of the first token, number of tokens."""
MOST = 512
"""Tokens of a packet: six kilobytes, far below what a datagram may have."""


@dataclass(frozen=True)
class Packet:
    """Tokens, and their log-probabilities, from place `first` (from 0) of the turn of a request."""

    request_id: str
    first: int
    tokens: list[int]
    logprobs: list[float]

    def encode(self) -> bytes:
        """As a datagram: head, request id, ids of 4 bytes, log-probabilities of 8."""
        name, count = self.request_id.encode(), len(self.tokens)
        numbers = struct.pack(f"<{count}I{count}d", *self.tokens, *self.logprobs)
        return _HEAD.pack(len(name), self.first, count) + name + numbers

    @classmethod
    def decode(cls, data: bytes) -> Packet:
        """The packet in a datagram.

        Raises:
            ValueError: there is none in it.
        """
        try:
            size, first, count = _HEAD.unpack_from(data)
            name = data[_HEAD.size : _HEAD.size + size]
            numbers = struct.unpack(f"<{count}I{count}d", data[_HEAD.size + size :])
        except struct.error as error:
            raise ValueError(f"{len(data)} bytes are no packet") from error
        if len(name) < size:
            raise ValueError(f"{len(data)} bytes are no packet")
        return cls(name.decode(), first, list(numbers[:count]), list(numbers[count:]))
