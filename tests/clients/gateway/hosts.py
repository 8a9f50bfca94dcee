"""Hosts of images, good and bad, on real sockets; and names that lead where a test says."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp.abc import AbstractResolver

PNG = b"\x89PNG and the rest"


class Names(AbstractResolver):
    """Names that are told in turn; the last one stays.

    Args:
        told: addresses of every name, for the first look-up, the second, and so on.
    """

    def __init__(self, *told: list[str]) -> None:
        self._told, self.asked = list(told), list[str]()

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
        """What a host leads to now."""
        self.asked.append(host)
        found = self._told.pop(0) if len(self._told) > 1 else self._told[0]
        return [
            {"hostname": host, "host": one, "port": port, "family": _family(one), "proto": 0, "flags": 0}
            for one in found
        ]

    async def close(self) -> None:
        """Nothing."""


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Host:
    """What was asked, and the port."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.closed = 0
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: the path says how it is answered."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            path = head.split()[1]
            await (reader.read() if path == "/silent" else self._by(path, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed += 1
            writer.close()

    async def _by(self, path: str, writer: asyncio.StreamWriter) -> None:
        word, _, rest = path.strip("/").partition("/")
        if word == "to":
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: {rest}\r\nContent-Length: 0\r\n\r\n".encode())
        elif word == "round":
            writer.write(f"HTTP/1.1 307 On\r\nLocation: /round/{rest}x\r\nContent-Length: 0\r\n\r\n".encode())
        elif word == "status":
            writer.write(f"HTTP/1.1 {rest} secret\r\nContent-Length: 6\r\n\r\nsecret".encode())
        elif word == "slow":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            await self._drip(writer, b"x", 0.05)
        elif word == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await self._drip(writer, b"400\r\n" + b"x" * 1024 + b"\r\n", 0)
        elif word == "heads":
            writer.write(b"HTTP/1.1 200 OK\r\n")
            await self._drip(writer, b"X-More: " + b"x" * 1024 + b"\r\n", 0)
        elif word == "claims":
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {rest}\r\n\r\n".encode())
        elif word == "garbage":
            writer.write(b"SSH-2.0-secret\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PNG), PNG))
        await writer.drain()

    async def _drip(self, writer: asyncio.StreamWriter, data: bytes, pause_s: float) -> None:
        while not writer.is_closing():
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(pause_s)


@asynccontextmanager
async def hosting(tls: ssl.SSLContext | None = None) -> AsyncIterator[Host]:
    """A host on 127.0.0.1 while it runs."""
    host = Host()
    server = await asyncio.start_server(host.answer, "127.0.0.1", 0, ssl=tls)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.close()
