"""The gateway's socket."""

from __future__ import annotations

import socket

from clients.gateway.opening import _bound
from perf.ports import free_ports
from pixelis.gateway_config import Gateway


def test_what_is_accepted_is_known_for_tcp() -> None:
    """asyncio switches Nagle's algorithm off for such sockets alone; with it, an answer waits for 40 ms."""
    port = free_ports().http_port
    with _bound(Gateway(port=port)) as listening, socket.create_connection(("127.0.0.1", port)):
        accepted, _ = listening.accept()
        with accepted:
            assert (accepted.type, accepted.proto) == (socket.SOCK_STREAM, socket.IPPROTO_TCP)
