"""Datagrams."""

from __future__ import annotations

import pytest

from python_backends.channel.packet import MOST, Packet


@pytest.mark.parametrize(
    "packet",
    [
        Packet("a", 0, [5], [-0.1]),
        Packet("größer", 7, [0, 2**32 - 1], [-1e-300, -3.5]),
        Packet("", 2**32 - 1, [], []),
        Packet("x" * 70_000, 1, list(range(MOST)), [-0.3] * MOST),
    ],
)
def test_there_and_back(packet: Packet) -> None:
    assert Packet.decode(packet.encode()) == packet


WHOLE = Packet("name", 3, [1, 2], [-1.0, -2.0]).encode()


@pytest.mark.parametrize(
    "data", [b"", b"\0", WHOLE[:-1], WHOLE + b"\0", WHOLE[:11], b"\xff" * 40, b"\5" + bytes(11) + b"name"]
)
def test_what_is_no_packet(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no packet|decode"):
        Packet.decode(data)
