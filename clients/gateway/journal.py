"""The events of requests: while they run, and for a while after that, within bounds of bytes and time."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from pixelis.errors import NotFound

PAGE_BYTES = 64 * 2**10
"""Of events that are read at a time, about."""
LOG_BYTES = 1024
"""What a log takes beside its events, about."""


@dataclass(frozen=True)
class Page:
    """Events of a log that follow each other.

    Attributes:
        events: as they are written to clients, without their numbers.
        ended: no more will come after these.
    """

    events: list[str]
    ended: bool


@dataclass(eq=False)
class _Log:
    caller: str
    name: str
    otherwise: str
    events: list[str] = field(default_factory=list)
    size: int = LOG_BYTES
    ended_at: float | None = None
    dropped: bool = False
    readers: set[asyncio.Future[None]] = field(default_factory=set)

    def wake(self) -> None:
        for reader in self.readers:
            if not reader.done():
                reader.set_result(None)


class Journal:
    """Logs of requests, each a list of events numbered from 1, of one event loop.

    Too many bytes: those that ended go first, the oldest one before the others, then the oldest of those that run.

    Args:
        most: bytes of all logs together.
        keep_s: how long a log is kept after its end.
        clock: seconds, rising.
    """

    def __init__(self, most: int, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._keep_s, self._clock = most, keep_s, clock
        self._numbers = itertools.count(1)
        self._logs: dict[int, _Log] = {}
        self._names: dict[tuple[str, str], int] = {}
        self._ended: OrderedDict[int, None] = OrderedDict()
        self.size = 0

    def begin(self, caller: str, name: str, otherwise: str) -> int:
        """A new log's number. An earlier log of the same caller and name is found by its number alone.

        Args:
            caller: who may read it.
            name: of the request.
            otherwise: its last event, if whoever records it dies.
        """
        self._forget()
        number, log = next(self._numbers), _Log(caller, name, otherwise)
        self._logs[number] = log
        self._names[caller, name] = number
        self.size += log.size
        self._make_room()
        return number

    def record(self, number: int, event: str) -> None:
        """One more event; nothing where the log was dropped for want of room."""
        log = self._logs.get(number)
        if log is None or log.ended_at is not None:
            return
        log.events.append(event)
        size = sys.getsizeof(event)
        log.size += size
        self.size += size
        log.wake()
        self._make_room()

    def end(self, number: int) -> None:
        """No more events will come."""
        log = self._logs.get(number)
        if log is not None and log.ended_at is None:
            log.ended_at = self._clock()
            self._ended[number] = None
            log.wake()

    def abandon(self, number: int) -> None:
        """The same, of a log whose recorder has died."""
        if (log := self._logs.get(number)) is not None:
            self.record(number, log.otherwise)
            self.end(number)

    def find(self, caller: str, name: str) -> tuple[int, int, bool]:
        """The number of a caller's log, how many events it has, and whether it has ended. Raises `NotFound`."""
        self._forget()
        number = self._names.get((caller, name))
        if number is None:
            raise NotFound("There are no events of a request of this name.", mend="They are kept for a while only.")
        log = self._logs[number]
        return number, len(log.events), log.ended_at is not None

    async def read(self, number: int, after: int) -> Page:
        """Events after the `after`th; waits until there is one, or the end. Raises `NotFound` where it was dropped."""
        log = self._logs.get(number)
        while log is not None and not log.dropped and len(log.events) <= after and log.ended_at is None:
            reader = asyncio.get_running_loop().create_future()
            log.readers.add(reader)
            try:
                await reader
            finally:
                log.readers.discard(reader)
        if log is None or log.dropped:
            raise NotFound("The request's events are no longer kept.", mend="Raise `events_bytes`.")
        found, size = [], 0
        for event in itertools.islice(log.events, after, None):
            found.append(event)
            size += len(event)
            if size > PAGE_BYTES:
                break
        return Page(found, log.ended_at is not None and after + len(found) >= len(log.events))

    def _forget(self) -> None:
        """Drop what ended too long ago."""
        before = self._clock() - self._keep_s
        while self._ended:
            number = next(iter(self._ended))
            if (self._logs[number].ended_at or 0.0) > before:
                return
            self._drop(number)

    def _make_room(self) -> None:
        while self.size > self._most and self._logs:
            self._drop(next(iter(self._ended or self._logs)))

    def _drop(self, number: int) -> None:
        log = self._logs.pop(number)
        self._ended.pop(number, None)
        if self._names.get((log.caller, log.name)) == number:
            del self._names[log.caller, log.name]
        self.size -= log.size
        log.dropped = True
        log.wake()
