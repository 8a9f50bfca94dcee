"""Clients that ask again as soon as they are answered, and a server, on the same few cores.

Small enough to be tried with real processes: that is what it is for (`validation`).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Cores:
    """First come, first served, one at a time a core."""

    free: list[float] = field(default_factory=list)

    def serve(self, now: float, seconds: float) -> float:
        """When work of `seconds` that comes now is done; it must not come before what came last."""
        start = max(now, heapq.heappop(self.free))
        heapq.heappush(self.free, start + seconds)
        return start + seconds


@dataclass(frozen=True)
class Clients:
    """What an answer takes.

    Attributes:
        cores: of the machine, for clients and server.
        own_s: processor time of a client between two answers.
        served_s: processor time of the server for one.
        disk_s: of the server's disk, once for all that it answers together.
        away_s: what an answer takes besides, and takes nobody's time.
    """

    cores: int
    own_s: float
    served_s: float
    disk_s: float = 0.0
    away_s: float = 0.0

    def throughput(self, clients: int, seconds: float = 20.0) -> float:
        """Answers a second of `clients` together, over so many simulated seconds."""
        return _Closed(self).run(clients, seconds)


class _Closed:
    """Where there is a disk the server takes all that waits, does it, and answers them together, as Redis does in a
    turn of its loop; else one after the other."""

    def __init__(self, costs: Clients) -> None:
        self._costs, self._machine = costs, Cores([0.0] * costs.cores)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._waiting, self._busy, self._done = 0, False, 0

    def run(self, clients: int, seconds: float) -> float:
        for _ in range(clients):
            self._asks(0.0)
        while self._events[0][0] < seconds:
            now, _, work = heapq.heappop(self._events)
            work(now)
        return self._done / seconds

    def _at(self, when: float, then: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), then))

    def _asks(self, now: float) -> None:
        self._at(self._machine.serve(now, self._costs.own_s), self._arrives)

    def _arrives(self, now: float) -> None:
        self._waiting += 1
        self._begin(now)

    def _begin(self, now: float) -> None:
        if self._waiting and not self._busy:
            taken = self._waiting if self._costs.disk_s else 1
            self._waiting, self._busy = self._waiting - taken, True
            worked = self._machine.serve(now, taken * self._costs.served_s)
            self._at(worked + self._costs.disk_s, lambda then: self._answered(then, taken))

    def _answered(self, now: float, taken: int) -> None:
        self._busy, self._done = False, self._done + taken
        for _ in range(taken):
            self._at(now + self._costs.away_s, self._asks)
        self._begin(now)
