"""The ledger's side of one worker: what it asks is done here, and what it held is given back when it goes."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from clients.gateway import link
from clients.gateway.allowance import Share
from clients.gateway.ledger import OwnLedger
from pixelis.errors import PixelisError, ServingError

log = logging.getLogger(__name__)

READY, END, BEGIN, RECORD, CLOSE = "ready", "end", "begin", "record", "close"
"""What is not answered."""


class Clerk:
    """Serves one worker.

    A worker that is killed closes its connection, whatever it was doing: its requests that wait are forgotten, its
    turns are others', and the events of its requests end.

    Args:
        ledger: where it is counted.
        up: called when the worker takes requests.
    """

    def __init__(self, ledger: OwnLedger, up: Callable[[], None]) -> None:
        self._ledger, self._up = ledger, up
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._logs: dict[int, int] = {}  # a worker's number of a log -> the journal's
        self._writer: asyncio.StreamWriter

    async def serve(self, connection: socket.socket) -> None:
        """Until the worker goes."""
        reader, self._writer = await asyncio.open_unix_connection(sock=connection)
        try:
            while (message := await link.read(reader)) is not None:
                self._heard(*message)
        finally:
            held = list(self._tasks.values())
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)
            for one in self._logs.values():
                self._ledger.journal.abandon(one)
            self._writer.close()

    def _heard(self, number: int, name: str, *said: Any) -> None:
        if name == READY:
            self._up()
        elif name == END:
            if (task := self._tasks.get(number)) is not None:
                task.cancel()
        elif name == RECORD:
            self._ledger.record(self._logs[number], *said)
        elif name == CLOSE:
            self._ledger.end(self._logs.pop(number))
        elif name == BEGIN:
            self._logs[number] = self._ledger.begin(*said)
        else:
            self._tasks[number] = task = asyncio.create_task(self._answer(number, name, said))
            task.add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _answer(self, number: int, name: str, said: tuple[Any, ...]) -> None:
        try:
            if name == "turn":
                async with self._ledger.turn(*said):
                    self._say(number, None)
                    await asyncio.get_running_loop().create_future()  # the turn lasts until it is cancelled
            elif name == "take":
                share, requests, questions = said
                self._say(number, asdict(await self._ledger.take(Share(**share), requests, questions)))
            elif name == "standing":
                self._say(number, asdict(await self._ledger.standing()))
            elif name == "find":
                self._say(number, await self._ledger.find(*said))
            elif name == "read":
                self._say(number, asdict(await self._ledger.read(*said)))
        except Exception as error:
            if not isinstance(error, PixelisError):  # a defect of ours: said to the log, and nobody waits for ever
                log.exception("the ledger, asked for `%s`", name)
                error = ServingError(f"The gateway failed: {type(error).__name__}.")
            self._writer.write(link.packed([number, None, link.fault(error)]))

    def _say(self, number: int, result: Any) -> None:
        self._writer.write(link.packed([number, result, None]))
