"""Which addresses of the internet protocol may be connected to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clients.gateway.networks import connectable

INWARD = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
OUTWARD = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "223.255.255.255",
    "2606:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


CARRIERS = [ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96")]
"""Of IPv4 addresses, which are judged instead."""


@pytest.mark.parametrize("text", INWARD)
def test_what_leads_inward_is_not_connected_to(text: str) -> None:
    assert not connectable(text)


@pytest.mark.parametrize("text", OUTWARD)
def test_public_addresses_are(text: str) -> None:
    assert connectable(text)


@given(st.ip_addresses())
def test_what_python_calls_private_is_never_connected_to(address: IPv4Address | IPv6Address) -> None:
    assume(not any(address in network for network in CARRIERS))
    inward = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    if inward or address.is_reserved or address.is_unspecified:
        assert not connectable(str(address))


def test_networks_of_ones_own_are_added_in_any_spelling() -> None:
    more = [ip_network("10.20.0.0/16"), ip_network("fd00::/8")]
    for text in ("10.20.0.1", "::ffff:10.20.0.1", "64:ff9b::a14:1", "fd00::1"):
        assert connectable(text, more)
    for text in ("10.21.0.1", "127.0.0.1", "::1", "fc00::1", "::ffff:127.0.0.1"):
        assert not connectable(text, more)
