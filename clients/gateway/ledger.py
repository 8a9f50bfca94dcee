"""What all requests of a gateway are counted against, whichever of its workers took them.

A gateway of one process has an `OwnLedger`. One of several has it in the process that supervises them, where it knows
of every request; its workers talk to it (`remote.py`, `clerk.py`) and notice no difference.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from clients.gateway.admission import Admission
from clients.gateway.allowance import Allowance, Share
from clients.gateway.journal import Journal, Page
from clients.gateway.quotas import Quotas
from clients.gateway.rates import Rates
from pixelis.errors import RateLimited
from pixelis.gateway_config import Gateway


@dataclass(frozen=True)
class Standing:
    """How a gateway stands.

    Attributes:
        in_flight: requests that Triton has.
        urgent: urgent requests that wait for their turn.
        ordinary: ordinary ones.
        uptime_s: seconds since the gateway began, not one of its workers.
        workers: a worker's number -> its process.
    """

    in_flight: int
    urgent: int
    ordinary: int
    uptime_s: float
    workers: dict[str, int]


class Ledger(Protocol):
    """What a request is counted against."""

    async def open(self) -> None:
        """Called once, in the loop that serves."""
        ...

    async def close(self) -> None:
        """Called once, when nothing is served any more."""
        ...

    async def take(self, share: Share, requests: int, questions: int) -> Allowance:
        """Count requests of a caller, and how many questions they are: all of it, or nothing with the reason.

        Raises:
            Unavailable: it cannot be counted.
        """
        ...

    def turn(self, caller: str, priority: int, deadline: float) -> AbstractAsyncContextManager[None]:
        """The time during which a request is under way; see `Admission.turn`."""
        ...

    async def standing(self) -> Standing:
        """How the gateway stands."""
        ...

    def begin(self, caller: str, name: str, otherwise: str) -> int:
        """A new log of events, which `record` and `end` know by this number; see `Journal`."""
        ...

    def record(self, log: int, event: str) -> None:
        """One more event."""
        ...

    def end(self, log: int) -> None:
        """No more events will come."""
        ...

    async def find(self, caller: str, name: str) -> tuple[int, int, bool]:
        """A caller's log for `read`, how many events it has, and whether it has ended. Raises `NotFound`."""
        ...

    async def read(self, log: int, after: int) -> Page:
        """Events after the `after`th, waited for. Raises `NotFound`."""
        ...


class OwnLedger:
    """The ledger itself, of one event loop.

    Args:
        config: its bounds.
        quotas: counts of the day; none = of this process.

    Attributes:
        journal: events of requests.
        workers: a worker's number -> its process.
    """

    def __init__(self, config: Gateway, quotas: Quotas | None = None) -> None:
        self._admission = Admission(config.in_flight, config.waiting)
        self._rates, self._quotas = Rates(), quotas or Quotas()
        self.journal = Journal(config.events_bytes, config.events_s)
        self._began = time.monotonic()
        self.workers: dict[str, int] = {"0": os.getpid()}

    async def open(self) -> None:
        """Nothing is to be opened."""

    async def close(self) -> None:
        """Close the counts of the day."""
        self._quotas.close()

    async def take(self, share: Share, requests: int, questions: int) -> Allowance:
        """Count requests of a caller, and how many questions they are. Raises `Unavailable`."""
        refusal = None
        try:
            self._rates.take(share.caller, share.per_minute, requests)
            self._quotas.take(share.caller, share.per_day, questions)
        except RateLimited as error:
            refusal = (error.message, error.mend or "")
        minute = self._rates.left(share.caller, share.per_minute)
        return Allowance(minute, self._quotas.left(share.caller, share.per_day), refusal)

    def turn(self, caller: str, priority: int, deadline: float) -> AbstractAsyncContextManager[None]:
        """The time during which a request is under way. Raises `Unavailable`, `DeadlineExceeded`."""
        return self._admission.turn(caller, priority, deadline)

    async def standing(self) -> Standing:
        """How the gateway stands."""
        return Standing(
            in_flight=self._admission.in_flight,
            urgent=self._admission.waiting(urgent=True),
            ordinary=self._admission.waiting(urgent=False),
            uptime_s=round(time.monotonic() - self._began, 3),
            workers=dict(self.workers),
        )

    def begin(self, caller: str, name: str, otherwise: str) -> int:
        """A new log of events."""
        return self.journal.begin(caller, name, otherwise)

    def record(self, log: int, event: str) -> None:
        """One more event."""
        self.journal.record(log, event)

    def end(self, log: int) -> None:
        """No more events will come."""
        self.journal.end(log)

    async def find(self, caller: str, name: str) -> tuple[int, int, bool]:
        """A caller's log, how many events it has, and whether it has ended. Raises `NotFound`."""
        return self.journal.find(caller, name)

    async def read(self, log: int, after: int) -> Page:
        """Events after the `after`th, waited for. Raises `NotFound`."""
        return await self.journal.read(log, after)
