"""`pixelis gateway` from its settings to its end: one process, or several."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from pathlib import Path

from clients.connection import address
from clients.gateway import keys
from clients.gateway.ledger import OwnLedger
from clients.gateway.quotas import Quotas
from pixelis.errors import SetupError
from pixelis.gateway_config import Gateway
from pixelis.settings import Limits

BACKLOG = 2048
"""Connections that may wait to be accepted, as uvicorn has it."""


def serve(config: Gateway, limits: Limits, state: Path) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        config: of the gateway.
        limits: of what a request carries.
        state: folder for what has to outlive a process.

    Raises:
        SetupError: the port is taken, keys, certificates or the counts of quotas cannot be used, or workers do not
            start.
    """
    quotas = Quotas(state / "gateway" / "quotas.sqlite")
    if config.keys is not None and any(key.requests_per_day for key in keys.read(config.keys)):
        quotas.open()
        quotas.close()  # it is of the thread that serves
    if config.workers == 1:
        import uvicorn

        from clients.gateway.serving import configured

        made = configured(config, limits, OwnLedger(config, quotas))
        listening = _bound(config)
        _say(config)
        uvicorn.Server(made).run(sockets=[listening])
        return
    from clients.gateway.workers import Workers  # which imports little: the supervisor answers nobody

    certificates(config)
    ledger = OwnLedger(config, quotas)
    workers = Workers(config, limits, ledger, _bound(config), state / "gateway" / f"{config.host}-{config.port}")
    asyncio.run(workers.run(lambda: _say(config)))
    if workers.ended_by == signal.SIGINT:
        raise KeyboardInterrupt


def certificates(config: Gateway) -> None:
    """Raises `SetupError` where certificates cannot be used."""
    mend = "Name PEM files that belong together, the key's without a password; or none, for HTTP."
    if config.certificate is None:
        if config.certificate_key is not None:
            raise SetupError(f"There is a key {config.certificate_key}, and no certificate for it.", mend=mend)
        return
    named = f"certificate {config.certificate}"
    if config.certificate_key is not None:
        named += f" with the key {config.certificate_key}"
    try:
        # uvicorn would ask for a password on the terminal.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(config.certificate, config.certificate_key, password="")
    except OSError as error:  # of files, and ssl.SSLError
        why = (getattr(error, "reason", None) or error.strerror or "not PEM").lower().replace("_", " ")
        raise SetupError(f"The {named} cannot be used: {why}.", mend=mend) from None


def _say(config: Gateway) -> None:
    scheme = "https" if config.certificate else "http"
    print(
        f"The gateway is on {scheme}://{config.host}:{config.port}, before {address(config.triton, 'grpc')}.",
        flush=True,
    )


def _bound(config: Gateway) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # Named, or asyncio does not know what it accepts for TCP, leaves Nagle's algorithm on, and answers come 40 ms late.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.host, config.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise SetupError(
            f"{config.host}:{config.port} cannot be listened on: {error.strerror}.", mend="Choose another: --port."
        ) from None
    return listening
