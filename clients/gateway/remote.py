"""The ledger as a worker sees it: in another process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any

from clients.gateway import link
from clients.gateway.allowance import Allowance, Share
from clients.gateway.clerk import BEGIN, CLOSE, END, READY, RECORD
from clients.gateway.journal import Page
from clients.gateway.ledger import Standing
from pixelis.errors import Unavailable


class RemoteLedger:
    """Asks the ledger over a socket.

    Args:
        connection: to the clerk.

    Attributes:
        lost: called when the other side has gone; without it nothing is served.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter
        self._reading: asyncio.Task[None]
        self.lost: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Begin to talk, and say that requests are taken."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._connection)
        self._reading = asyncio.create_task(self._read(reader))
        self._tell(next(self._numbers), READY)

    async def close(self) -> None:
        """The end."""
        self._reading.cancel()
        self._writer.close()

    async def take(self, share: Share, requests: int, questions: int) -> Allowance:
        """Count requests of a caller, and how many questions they are. Raises `Unavailable`."""
        if share.per_minute is None and share.per_day is None:
            return Allowance()
        return Allowance.of(await self._ask("take", asdict(share), requests, questions))

    @contextlib.asynccontextmanager
    async def turn(self, caller: str, priority: int, deadline: float) -> AsyncIterator[None]:
        """The time during which a request is under way. Raises `Unavailable`, `DeadlineExceeded`."""
        number = next(self._numbers)
        try:
            await self._answer(number, "turn", caller, priority, deadline)
            yield
        finally:
            self._tell(number, END)

    async def standing(self) -> Standing:
        """How the gateway stands."""
        return Standing(**await self._ask("standing"))

    def begin(self, caller: str, name: str, otherwise: str) -> int:
        """A new log of events. Nobody waits for it, so nobody can leave before it is known."""
        log = next(self._numbers)
        self._tell(log, BEGIN, caller, name, otherwise)
        return log

    def record(self, log: int, event: str) -> None:
        """One more event."""
        self._tell(log, RECORD, event)

    def end(self, log: int) -> None:
        """No more events will come."""
        self._tell(log, CLOSE)

    async def find(self, caller: str, name: str) -> tuple[int, int, bool]:
        """A caller's log, how many events it has, and whether it has ended. Raises `NotFound`."""
        log, count, ended = await self._ask("find", caller, name)
        return log, count, ended

    async def read(self, log: int, after: int) -> Page:
        """Events after the `after`th, waited for. Raises `NotFound`."""
        return Page(**await self._ask("read", log, after))

    async def _ask(self, name: str, *said: Any) -> Any:
        return await self._answer(next(self._numbers), name, *said)

    async def _answer(self, number: int, name: str, *said: Any) -> Any:
        if self._reading.done():
            raise _ending()
        self._asked[number] = asyncio.get_running_loop().create_future()
        self._tell(number, name, *said)
        try:
            return await self._asked[number]
        except asyncio.CancelledError:
            self._tell(number, END)
            raise
        finally:
            del self._asked[number]

    def _tell(self, number: int, name: str, *said: Any) -> None:
        if not self._writer.is_closing():
            self._writer.write(link.packed([number, name, *said]))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while (message := await link.read(reader)) is not None:
            number, result, fault = message
            future = self._asked.get(number)
            if future is None or future.done():
                continue
            if fault is None:
                future.set_result(result)
            else:
                future.set_exception(link.raised(fault))
        for future in self._asked.values():
            if not future.done():
                future.set_exception(_ending())
        self.lost()


def _ending() -> Unavailable:
    return Unavailable("The gateway is ending.", mend="Try again in 1 s.")
