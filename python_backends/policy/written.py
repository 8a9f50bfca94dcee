"""What a request's caller is told: its tokens as they are written, and why they end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pixelis.errors import PixelisError
from pixelis.schema import PolicyEvent, Sampling
from python_backends.policy.metrics import Turn
from python_backends.policy.sampling_stop import StopTexts

EventSink = Callable[[PolicyEvent | PixelisError], None]
"""Takes a request's events in order; the last one has a `finish` or is an error.

It is called in the decoding thread and must not wait.
"""

Finish = Literal["stop", "length", "cancelled", "deadline"]

URGENT = 7
"""Priority from which a request is of the urgent class."""


@dataclass(eq=False, kw_only=True)
class Written:
    """A turn, whoever writes it.

    Attributes:
        limit: tokens that may be generated.
        stops: ids that end it; the one that does is part of the result.
        stopping: watches for stop texts, where there are any.
        told: tokens that its caller knows of.
        arrived, first, last: monotonic seconds of its arrival and of its first and newest token.
        queue_s: seconds until somebody began to answer it; none before.
    """

    sampling: Sampling
    sink: EventSink
    limit: int
    stops: frozenset[int]
    stopping: StopTexts | None = None
    arrived: float = field(default_factory=time.monotonic)
    queue_s: float | None = None
    first: float | None = None
    last: float = 0.0
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    told: int = 0

    @property
    def urgent(self) -> bool:
        """Whether ordinary requests stand back."""
        return self.sampling.priority >= URGENT

    @property
    def deadline(self) -> float:
        """Seconds since the epoch; infinite without one."""
        return math.inf if self.sampling.deadline is None else self.sampling.deadline

    def take(self, token: int, logprob: float, now: float) -> None:
        """One more token, at `now` (monotonic seconds)."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if self.stopping is not None and not self.stops_at(token):
            self.stopping.push(token)
        self.first = self.first or now
        self.last = now

    def turn(self, now: float) -> Turn:
        """What its caller has seen of it, when it ends at `now`."""
        count = len(self.tokens)
        return Turn(
            ended=now,
            urgent=self.urgent,
            queue_s=now - self.arrived if self.queue_s is None else self.queue_s,
            first_s=None if self.first is None else self.first - self.arrived,
            token_s=(self.last - self.first) / (count - 1) if self.first is not None and count > 1 else None,
        )

    def ending(self, token: int) -> Finish | None:
        """Why it ends with `token`, which is its newest; none if it goes on."""
        if self.stops_at(token) or (self.stopping is not None and self.stopping.found is not None):
            return "stop"
        return "length" if len(self.tokens) >= self.limit else None

    def stops_at(self, token: int) -> bool:
        """Whether the newest token ends it."""
        return token in self.stops

    def news(self) -> PolicyEvent | None:
        """What its caller is to be told while it goes on: no token that may be part of a stop text."""
        known = len(self.tokens) if self.stopping is None else self.stopping.settled
        if not self.sampling.stream or known == self.told:
            return None
        fresh = slice(self.told, known)
        self.told = known
        return PolicyEvent(tokens=self.tokens[fresh], logprobs=self.logprobs[fresh])

    def closing(self, finish: Finish) -> PolicyEvent:
        """The last event, with all tokens that were not told before."""
        stop = self.stopping if finish == "stop" else None
        return PolicyEvent(
            tokens=self.tokens[self.told :],
            logprobs=self.logprobs[self.told :],
            finish=finish,
            stop=stop and stop.found,
            text_length=stop and stop.text_length,
        )
