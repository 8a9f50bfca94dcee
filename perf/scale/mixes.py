"""What is asked, and how much of it: requests of a mix on so many replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perf.scale.costs import Asking, Costs

BALANCER, GATEWAY, CACHE = "balancer: an nginx worker", "gateway: a process", "cache: a Redis"
LOG, APPLYING = "log: a Redis", "applying: a core of each replica"


@dataclass(frozen=True)
class Mix:
    """What is asked.

    Attributes:
        repeated: share that was asked before, of another replica: the answer is in Redis.
        learning: share that is learned, of the others.
    """

    name: str
    repeated: float
    learning: float

    def shares(self) -> tuple[tuple[str, float], ...]:
        """Kinds of question and their shares."""
        new = 1 - self.repeated
        return (("repeated", self.repeated), ("learning", new * self.learning), ("unique", new * (1 - self.learning)))


def mixes(learning: Sequence[float]) -> list[Mix]:
    """New questions alone and four of five asked before; each without learning and with each share of it."""
    bases = (("new", 0.0), ("80 % asked before", 0.8))
    return [
        Mix(name if not share else f"{name}, {100 * share:g} % of the new learned", repeated, share)
        for name, repeated in bases
        for share in (0.0, *learning)
    ]


@dataclass(frozen=True)
class Load:
    """A mix on so many replicas.

    Attributes:
        per_second: requests of all.
    """

    costs: Costs
    mix: Mix
    replicas: int
    per_second: float

    @classmethod
    def of(cls, costs: Costs, mix: Mix, replicas: int, busy: float) -> Load:
        """As many requests as keep every replica busy for `busy` of its time."""
        seconds = sum(share / _kind(costs, kind).per_second for kind, share in mix.shares())
        return cls(costs, mix, replicas, replicas * busy / seconds)

    def mean(self, of: Callable[[Asking], float]) -> float:
        """Something of a question, over the mix."""
        return sum(share * of(_kind(self.costs, kind)) for kind, share in self.mix.shares())

    def each(self, of: Callable[[Asking], float]) -> list[tuple[float, float]]:
        """Share and something of each kind of question."""
        return [(share, of(_kind(self.costs, kind))) for kind, share in self.mix.shares()]

    @property
    def changes(self) -> float:
        """Entries of the log, a second."""
        return self.per_second * self.mean(lambda asking: asking.entries)

    @property
    def commands(self) -> list[tuple[float, float]]:
        """Commands of the cache for a question, and what each costs."""
        costs = self.costs
        return [
            (self.mean(lambda one: one.reads), costs.read),
            (self.mean(lambda one: one.writes), costs.write),
            (self.mean(lambda one: one.scripts), costs.script),
        ]

    def demand(self, part: str) -> float:
        """Share of its time that a part must work; over 1 it cannot."""
        costs, rate = self.costs, self.per_second
        demands = {
            BALANCER: lambda: rate * (costs.balancer or 0.0),
            GATEWAY: lambda: rate * self.mean(lambda one: one.gateway),
            CACHE: lambda: rate * sum(count * seconds for count, seconds in self.commands),
            LOG: lambda: costs.log.load(self.changes, self.replicas - 1),
            APPLYING: lambda: self.changes * costs.log.apply,
        }
        return demands[part]()


def _kind(costs: Costs, kind: str) -> Asking:
    found: Asking = getattr(costs, kind)
    return found
