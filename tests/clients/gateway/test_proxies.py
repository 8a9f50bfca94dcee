"""Whose address counts behind a proxy."""

from __future__ import annotations

import pytest

from tests.clients.gateway.conftest import Served, ask
from tests.clients.gateway.test_gateway import body

pytestmark = pytest.mark.triton


def statuses(*addresses: str) -> list[int]:
    return [ask("/infer", body(), X_Forwarded_For=address)[0] for address in addresses]


def test_a_trusted_proxy_says_who_asks(gateways: Served) -> None:
    with gateways(requests_per_minute=1, trusted_proxies=["127.0.0.0/8"]):
        assert statuses("203.0.113.7", "203.0.113.7", "203.0.113.8") == [200, 429, 200]
        assert statuses("203.0.113.9, 203.0.113.7") == [429], "what the proxy has not written itself counts for nothing"


@pytest.mark.parametrize("trusted", [[], ["203.0.113.0/24"]])
def test_nobody_else_does(gateways: Served, trusted: list[str]) -> None:
    with gateways(requests_per_minute=1, trusted_proxies=trusted):
        assert statuses("203.0.113.7", "203.0.113.8") == [200, 429]
