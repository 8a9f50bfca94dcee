"""Addresses of images: which may be fetched at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from yarl import URL

from pixelis.errors import InvalidRequest

SCHEMES = ("http://", "https://")
"""Eight characters are looked at."""
LONGEST = 4096
PORTS = (80, 443)
"""Of hosts that are listed without one."""
MEND = "Send the picture itself: base64, or a `data:` URL."


@dataclass(frozen=True)
class Address:
    """An address that may be fetched, as it is asked for."""

    url: URL


def allowed(text: str, hosts: Sequence[str]) -> Address:
    """An address, where its host is one of those that are listed.

    The parser is the one that the fetching uses, so both see the same host; nothing is spelt anew, or signatures in
    addresses would not hold.

    Args:
        text: `http://` or `https://` and the rest.
        hosts: names, `*.` before one for all names below it, and perhaps a port behind.

    Raises:
        InvalidRequest: it is none, or not listed.
    """
    if not hosts:
        raise InvalidRequest("An image's address is not fetched.", mend=MEND)
    if len(text) > LONGEST or re.search(r"[^\x21-\x7e]|\\", text):
        raise _none()
    try:
        url = URL(text, encoded=True).with_fragment(None)
        host, port = url.raw_host, url.port
    except (ValueError, IndexError):  # yarl's, of brackets with an `@` behind them and no host
        raise _none() from None
    if url.scheme not in ("http", "https") or not host or port is None:
        raise _none()
    if url.raw_user is not None or url.raw_password is not None:
        raise InvalidRequest("An image's address holds a name or a password.", mend="Leave them out.")
    if not any(_fits(host.lower(), port, listed.lower()) for listed in hosts):
        raise InvalidRequest("Images are not fetched from the host of this address.", mend=MEND)
    return Address(url)


def _fits(host: str, port: int, listed: str) -> bool:
    name, _, own = listed.rpartition(":") if re.search(r":\d+$", listed) else (listed, "", "")
    if port not in ((int(own),) if own else PORTS):
        return False
    name = name.removeprefix("[").removesuffix("]")
    return host.endswith(name[1:]) and host != name[1:] if name.startswith("*.") else host == name


def _none() -> InvalidRequest:
    return InvalidRequest("An image's address is none that can be fetched.", mend="As https://host/path.png.")
