"""Whose turn it is: so many requests are at Triton, the others wait here.

Two classes, as in Triton: urgent ones (`priority` 7 to 10) go before ordinary ones. Within a class the caller goes next
who has the fewest requests under way, so that one that sends hundreds does not hold up one that sends one; of its
requests the one whose deadline is next.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pixelis.errors import DeadlineExceeded, Unavailable

URGENT = 7
"""The least `priority` of the urgent class."""


@dataclass(eq=False)
class _Waiting:
    caller: str
    deadline: float
    number: int
    turn: asyncio.Future[None] = field(repr=False)


class Admission:
    """The queue before Triton, of one event loop.

    Args:
        in_flight: requests that may be under way at a time.
        waiting: requests of each class that may wait.
    """

    def __init__(self, in_flight: int, waiting: int) -> None:
        self._most, self._room = in_flight, waiting
        self._busy: Counter[str] = Counter()
        self._waiting: dict[bool, list[_Waiting]] = {True: [], False: []}
        self._numbers = itertools.count()

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._busy.total()

    def waiting(self, *, urgent: bool) -> int:
        """Requests of a class that wait."""
        return len(self._waiting[urgent])

    @contextlib.asynccontextmanager
    async def turn(self, caller: str, priority: int, deadline: float) -> AsyncIterator[None]:
        """The time during which a request is under way.

        Args:
            caller: whose it is.
            priority: 0 to 10.
            deadline: `time.monotonic()` at which it has to have ended.

        Raises:
            Unavailable: too many wait already.
            DeadlineExceeded: its turn did not come in time.
        """
        await self._come(caller, priority >= URGENT, deadline)
        try:
            yield
        finally:
            self._leave(caller)

    async def _come(self, caller: str, urgent: bool, deadline: float) -> None:
        line = self._waiting[urgent]
        if self.in_flight < self._most and not self._waiting[True] and not line:
            self._busy[caller] += 1
            return
        if len(line) >= self._room:
            raise Unavailable(f"{len(line)} requests wait, which is as many as may.", mend="Try again in 1 s.")
        loop = asyncio.get_running_loop()
        one = _Waiting(caller, deadline, next(self._numbers), loop.create_future())
        alarm = loop.call_later(max(0.0, deadline - time.monotonic()), _late, one.turn)
        line.append(one)
        self._next()
        try:
            await one.turn
        except BaseException:
            if one in line:
                line.remove(one)
            elif not one.turn.cancelled() and one.turn.exception() is None:
                self._leave(caller)  # it was given a turn in the moment in which it left
            raise
        finally:
            alarm.cancel()

    def _leave(self, caller: str) -> None:
        self._busy[caller] -= 1
        if not self._busy[caller]:
            del self._busy[caller]
        self._next()

    def _next(self) -> None:
        while self.in_flight < self._most:
            line = self._waiting[True] or self._waiting[False]
            if not line:
                return
            one = min(line, key=lambda waiting: (self._busy[waiting.caller], waiting.deadline, waiting.number))
            line.remove(one)
            if not one.turn.done():
                self._busy[one.caller] += 1
                one.turn.set_result(None)


def _late(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(DeadlineExceeded("The request's turn did not come in time.", mend="Raise `timeout_s`."))
