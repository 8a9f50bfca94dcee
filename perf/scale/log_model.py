"""The log of experiences with its followers: a Redis that serves in rounds, and replicas that read behind it.

Redis takes all that has arrived, does it, and with `appendfsync always` answers when the disk has it: so a round lasts
as long as its commands and, where one of them appended, one `fsync`. A follower that has been told of a change reads
what is new, applies it, finds nothing more, and waits again; what comes meanwhile it reads together.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from perf.scale.queueing import Times, poisson

Done = Callable[[float], None]


@dataclass(frozen=True)
class LogCosts:
    """Seconds.

    Attributes:
        append: of an append, without the disk.
        fsync: of the disk, once a round.
        told: of a follower's reading, whatever it finds.
        entry: of each entry that a follower reads.
        idle: of a follower that waits, in a second.
        apply: of an entry, in the follower's own process.
    """

    append: float
    fsync: float
    told: float
    entry: float
    idle: float
    apply: float

    def load(self, rate: float, followers: int) -> float:
        """Share of its time that Redis works, where every change is read by itself; over 1 it falls behind."""
        reading = rate * followers * (self.told + self.entry)
        return rate * (self.append + self.fsync) + reading + followers * self.idle

    def least(self, rate: float, followers: int) -> float:
        """The same where followers read many changes at once, and a round has many appends: there is no less."""
        return rate * (self.append + followers * self.entry) + followers * self.idle


@dataclass
class Round:
    """Redis, which serves in rounds."""

    now: float = 0.0
    busy: float = 0.0
    serving: bool = False
    waiting: list[tuple[float, bool, Done]] = field(default_factory=list)


class LogModel:
    """One run. See `run`."""

    def __init__(self, costs: LogCosts, followers: int) -> None:
        self._costs, self._followers = costs, followers
        self._events: list[tuple[float, int, Done]] = []
        self._order = itertools.count()
        self._redis = Round()
        self._written = 0
        self._read = [0] * followers
        self._reading = [False] * followers
        self._applied: list[list[float]] = []
        self._waits: list[float] = []

    def run(self, rate: float, changes: int, seed: int = 0) -> Outcome:
        """So many changes, `rate` a second."""
        arrivals = poisson(rate, changes, np.random.default_rng(seed))
        for at in arrivals:
            self._at(at, lambda now, at=at: self._ask(now, self._costs.append, True, self._appended(at)))  # type: ignore[misc]
        while self._events:
            now, _, work = heapq.heappop(self._events)
            self._redis.now = now
            work(now)
        lags = [max(times) - at for times, at in zip(self._applied, arrivals, strict=True) if times]
        idle = self._followers * self._costs.idle
        return Outcome(np.array(self._waits), np.array(lags), self._redis.busy / self._redis.now + idle)

    def _at(self, when: float, work: Done) -> None:
        heapq.heappush(self._events, (when, next(self._order), work))

    def _ask(self, now: float, seconds: float, writes: bool, done: Done) -> None:
        self._redis.waiting.append((seconds, writes, done))
        if not self._redis.serving:
            self._serve(now)

    def _serve(self, now: float) -> None:
        redis = self._redis
        taken, redis.waiting, redis.serving = redis.waiting, [], True
        lasts = sum(seconds for seconds, _, _ in taken)
        lasts += self._costs.fsync if any(writes for _, writes, _ in taken) else 0.0
        redis.busy += lasts

        def end(then: float) -> None:
            redis.serving = False
            for _, _, done in taken:
                done(then)
            if redis.waiting and not redis.serving:
                self._serve(then)

        self._at(now + lasts, end)

    def _appended(self, at: float) -> Done:
        def done(now: float) -> None:
            self._waits.append(now - at)
            self._applied.append([])
            self._written += 1
            for follower in range(self._followers):
                if not self._reading[follower]:
                    self._reading[follower] = True
                    self._reads(now, follower)

        return done

    def _reads(self, now: float, follower: int) -> None:
        new = self._written - self._read[follower]

        def got(then: float) -> None:
            first, self._read[follower] = self._read[follower], self._read[follower] + new
            applied = then + new * self._costs.apply
            for change in range(first, first + new):
                self._applied[change].append(applied)
            self._at(applied, lambda later: self._again(later, follower))

        self._ask(now, self._costs.told + new * self._costs.entry, False, got)

    def _again(self, now: float, follower: int) -> None:
        if self._written > self._read[follower]:
            self._reads(now, follower)
        else:
            self._reading[follower] = False


@dataclass(frozen=True)
class Outcome:
    """What a run showed.

    Attributes:
        appends: seconds until each change was acknowledged.
        lags: seconds until the last follower had applied it.
        load: share of its time that Redis worked.
    """

    appends: Times
    lags: Times
    load: float
