"""The application on uvicorn."""

from __future__ import annotations

import socket

import uvicorn

from clients.client import address
from clients.gateway.app import application
from clients.gateway.limits import protocol
from pixelis.errors import SetupError
from pixelis.gateway_config import Gateway
from pixelis.settings import Limits


def configured(config: Gateway, limits: Limits) -> uvicorn.Config:
    """uvicorn's settings. Raises `SetupError` where keys or certificates cannot be read."""
    for path in (config.certificate, config.certificate_key):
        if path is not None and not path.is_file():
            raise SetupError(f"There is no certificate {path}.", mend="Name PEM files, or none.")
    return uvicorn.Config(
        application(config, limits),
        host=config.host,
        port=config.port,
        http=protocol(config.header_bytes, config.header_timeout_s),
        ws="none",
        limit_concurrency=config.connections,
        timeout_graceful_shutdown=int(config.drain_s),
        ssl_certfile=config.certificate,
        ssl_keyfile=config.certificate_key,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
    )


def serve(config: Gateway, limits: Limits) -> None:
    """Serve until SIGINT or SIGTERM. Raises `SetupError` where the port is taken."""
    made = configured(config, limits)
    listening = _bound(config)
    scheme = "https" if config.certificate else "http"
    print(
        f"The gateway is on {scheme}://{config.host}:{config.port}, before {address(config.triton, 'grpc')}.",
        flush=True,
    )
    uvicorn.Server(made).run(sockets=[listening])


def _bound(config: Gateway) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        raise SetupError(
            f"{config.host}:{config.port} cannot be listened on: {error.strerror}.", mend="Choose another: --port."
        ) from None
    return listening
