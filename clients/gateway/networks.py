"""Which addresses of the internet protocol may be connected to for what somebody else has named.

After IANA's registries of special-purpose addresses for IPv4 and IPv6; a table of our own, because what `ipaddress`
calls global changes from one Python to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

_INWARD = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # of carriers
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, clouds' metadata among them
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation, as the two below
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
]
_OUTWARD = IPv6Network("2000::/3")
"""Global unicast: loopback, link-local, unique local, site-local, multicast and reserved ones lie outside."""
_NOT_OUTWARD = [IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
"""Teredo and other protocols, documentation, 6to4, documentation."""
_NAT64 = IPv6Network("64:ff9b::/96")


def connectable(text: str, more: Sequence[Network] = ()) -> bool:
    """Whether an address may be connected to.

    Args:
        text: IPv4, or IPv6, perhaps with a zone.
        more: networks that may be connected to beside public ones.
    """
    found = _inside(ip_address(text))
    if any(found in network for network in more):
        return True
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _INWARD)
    return found in _OUTWARD and not any(found in network for network in _NOT_OUTWARD)


def _inside(found: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address in an IPv6 one that leads there: mapped, or behind a translator."""
    if isinstance(found, IPv4Address):
        return found
    if found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return IPv4Address(int(found) & 0xFFFFFFFF) if found in _NAT64 else found
