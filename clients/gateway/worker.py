"""One of several processes of a gateway. It is forked, see `workers.py`: what is heavy is imported in here."""

from __future__ import annotations

import socket
from pathlib import Path

from pixelis.gateway_config import Gateway
from pixelis.settings import Limits


def work(config: Gateway, limits: Limits, counts: Path, listening: socket.socket, ledger: socket.socket) -> None:
    """Serve until SIGTERM, or until the ledger has gone.

    Args:
        config: of the whole gateway.
        limits: of what a request carries.
        counts: folder of what all workers count.
        listening: the gateway's one port.
        ledger: connection to the clerk.
    """
    import uvicorn

    from clients.gateway.metrics import Metrics
    from clients.gateway.remote import RemoteLedger
    from clients.gateway.serving import configured

    remote = RemoteLedger(ledger)
    server = uvicorn.Server(configured(config, limits, remote, Metrics(counts)))

    def lost() -> None:
        server.should_exit = True

    remote.lost = lost
    server.run(sockets=[listening])
