"""Images fetched from the addresses that a request names, where `image_hosts` lists their hosts.

A name is resolved once, and every address is judged in the moment in which its socket is made: what is connected to is
what was judged, whatever the name leads to a moment later. What is said to the caller is never what a host answered.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from clients.gateway.addresses import Address, allowed
from clients.gateway.networks import connectable
from pixelis.errors import InvalidImage, InvalidRequest, LimitExceeded
from pixelis.gateway_config import Gateway
from pixelis.settings import Limits

log = logging.getLogger(__name__)

HOPS = 3
"""Redirects that are followed, each of them checked like the first address."""
HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "pixelis-gateway"}
CHUNK = 64 * 2**10
MEND = "Send the picture itself: base64, or a `data:` URL."


class Inward(OSError):
    """An address that is not connected to."""


class Purse:
    """Bytes that one request may have fetched, in all its images.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def spend(self, count: int) -> None:
        """Raises `LimitExceeded` where that is more than is left."""
        self._left -= count
        if self._left < 0:
            raise LimitExceeded(f"The images of a request have more than {self._most} bytes.", mend="Send fewer.")


class Fetcher:
    """Fetches images; of one event loop, in which it must be closed.

    Args:
        config: which hosts, networks and times.
        limits: of an image.
        resolver: of names; none = the system's.
        tls: whose certificates are believed; none = the system's authorities.
    """

    def __init__(
        self,
        config: Gateway,
        limits: Limits,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._config, self._limits, self._resolver, self._tls = config, limits, resolver, tls
        self._made: aiohttp.ClientSession | None = None

    async def all(self, images: Sequence[bytes | Address], purse: Purse) -> list[bytes]:
        """The images, those that are addresses fetched side by side.

        Raises:
            InvalidRequest: a host that is not listed, or leads where nothing is fetched from.
            InvalidImage: a host that cannot be reached, is too slow, or answers with something else.
            LimitExceeded: more bytes than an image, or all of a request, may have.
        """
        tasks = [asyncio.ensure_future(self._one(image, purse)) for image in images]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Close what is open."""
        if self._made is not None:
            await self._made.close()

    async def _one(self, image: bytes | Address, purse: Purse) -> bytes:
        if isinstance(image, bytes):
            return image
        try:
            return await asyncio.wait_for(self._followed(image.url, purse), self._config.image_timeout_s)
        except asyncio.TimeoutError:
            reason = f"its host took longer than {self._config.image_timeout_s:g} s"
        except aiohttp.ClientConnectorCertificateError:
            reason = "its host has no certificate that is believed"
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, Inward):
                raise InvalidRequest("The host of an image's address is not a public one.", mend=MEND) from None
            reason = "its host cannot be reached"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.info("an image was not fetched: %s", type(error).__name__)
            reason = "its host does not speak HTTP as it should"
        raise InvalidImage(f"An image was not fetched: {reason}.", mend=MEND)

    async def _followed(self, url: URL, purse: Purse) -> bytes:
        for _ in range(HOPS + 1):
            found = await self._answer(url, purse)
            if isinstance(found, bytes):
                return found
            url = self._redirected(url, found)
        raise InvalidImage(f"An image was not fetched: more than {HOPS} redirects.", mend=MEND)

    async def _answer(self, url: URL, purse: Purse) -> bytes | str:
        """The body at an address, or whereto it redirects."""
        async with self._session.get(url, allow_redirects=False, headers=HEADERS) as response:
            if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                return response.headers["Location"]
            if response.status != 200:
                raise InvalidImage("An image was not fetched: its host does not give it.", mend=MEND)
            self._sized(response.content_length or 0)
            parts, size = [], 0
            async for part in response.content.iter_chunked(CHUNK):
                size += len(part)
                self._sized(size)
                purse.spend(len(part))
                parts.append(part)
            return b"".join(parts)

    def _redirected(self, url: URL, location: str) -> URL:
        try:
            found = allowed(str(url.join(URL(location, encoded=True))), self._config.image_hosts).url
        except (InvalidRequest, ValueError, IndexError):  # as in `allowed`
            found = None
        if found is None or (url.scheme, found.scheme) == ("https", "http"):
            raise InvalidRequest("An image's address redirects to one that is not fetched.", mend=MEND)
        return found

    def _sized(self, size: int) -> None:
        if size > self._limits.image_bytes:
            raise LimitExceeded(
                f"An image has more than {self._limits.image_bytes} bytes.", mend="Compress it, or make it smaller."
            )

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._made is None:  # made here, because it belongs to the loop that runs
            connector = aiohttp.TCPConnector(
                limit=self._config.image_fetches,
                force_close=True,
                use_dns_cache=False,
                resolver=self._resolver or aiohttp.ThreadedResolver(),
                ssl=self._tls or True,
                socket_factory=self._socket,
            )
            self._made = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
                auto_decompress=False,
            )
        return self._made

    def _socket(self, info: Any) -> socket.socket:
        """A socket for an address that may be connected to; nothing else is ever connected."""
        family, kind, protocol, _, address = info
        if not connectable(address[0], self._config.image_networks):
            raise Inward("not connected to")
        return socket.socket(family, kind, protocol)
