"""Ports for a server that lives as long as a measurement."""

from __future__ import annotations

import socket

from pixelis.settings import Server, settings


def free_ports() -> Server:
    """The settings' server on three ports of loopback that nobody holds now."""
    sockets = [socket.socket() for _ in range(3)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        http, grpc, metrics = (one.getsockname()[1] for one in sockets)
    finally:
        for one in sockets:
            one.close()
    return settings().server.model_copy(update={"http_port": http, "grpc_port": grpc, "metrics_port": metrics})
