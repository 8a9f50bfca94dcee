"""Streams that go on when their client goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request

from clients.gateway.answers import outcome
from clients.gateway.upstream import while_there
from pixelis.errors import PixelisError

log = logging.getLogger(__name__)


class Background:
    """Draws events from streams, which record them by themselves.

    Args:
        drain_s: upon the end of the gateway they have so long to end.
    """

    def __init__(self, drain_s: float) -> None:
        self._drain_s = drain_s
        self._tasks: set[asyncio.Task[None]] = set()

    async def begun(self, request: Request, events: AsyncIterator[Any]) -> None:
        """Begin, and wait for the first event; it goes on whoever leaves meanwhile.

        Raises:
            PixelisError: what came instead of an event.
            ClientDisconnect: the client has gone.
        """
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._drawn(request, events, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await while_there(request, _awaited(first))

    async def close(self) -> None:
        """Wait for those that run, and cancel those that do not end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._drain_s)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _drawn(self, request: Request, events: AsyncIterator[Any], first: asyncio.Future[None]) -> None:
        try:
            async with aclosing(events):  # type: ignore[type-var]
                async for _ in events:
                    if not first.done():
                        first.set_result(None)
        except Exception as error:
            request.state.outcome = outcome(error)  # before whoever follows the events comes to their end
            if not first.done():
                first.set_exception(error)
            elif not isinstance(error, PixelisError):  # a defect of ours; the others are in the request's events
                log.exception("a request in the background")


async def _awaited(first: asyncio.Future[None]) -> None:
    await first
