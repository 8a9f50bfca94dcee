"""The application on uvicorn."""

from __future__ import annotations

import math

import uvicorn

from clients.gateway.app import application
from clients.gateway.ledger import Ledger, OwnLedger
from clients.gateway.limits import protocol
from clients.gateway.metrics import Metrics
from clients.gateway.opening import certificates
from pixelis.gateway_config import Gateway
from pixelis.settings import Limits


def configured(
    config: Gateway, limits: Limits, ledger: Ledger | None = None, metrics: Metrics | None = None
) -> uvicorn.Config:
    """uvicorn's settings of one process.

    Args:
        config: of the gateway.
        limits: of what a request carries.
        ledger: what requests are counted against; none = one of this process.
        metrics: what is counted; none = what this process counts.

    Raises:
        SetupError: keys or certificates cannot be read.
    """
    certificates(config)
    return uvicorn.Config(
        application(config, limits, ledger or OwnLedger(config), metrics or Metrics()),
        host=config.host,
        port=config.port,
        http=protocol(config.header_bytes, config.header_timeout_s),
        ws="none",
        limit_concurrency=math.ceil(config.connections / config.workers),
        timeout_graceful_shutdown=int(config.drain_s),
        ssl_certfile=config.certificate,
        ssl_keyfile=config.certificate_key,
        log_level="warning",
        server_header=False,
        proxy_headers=bool(config.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in config.trusted_proxies],
    )
