"""The same questions to both sides, in turns or at the same time."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

from perf.e2e.load import Answered, Block, closed_loop
from perf.e2e.questions import Asked
from pixelis.schema import PipelineResult

Traffic = Literal["interleaved", "mirrored"]


class Asks(Protocol):
    """A side of a comparison."""

    def ask(self, asked: Asked) -> PipelineResult:
        """The answer to a question; raises `PixelisError`."""


@dataclass(frozen=True)
class Pair:
    """One or several questions at once, as each side answered them."""

    a: Block
    b: Block

    @property
    def ratio(self) -> float:
        """B's time, from its first request to its last answer, as a multiple of A's."""
        return _seconds(self.b) / _seconds(self.a)

    @property
    def members(self) -> list[tuple[Answered, Answered]]:
        """Each question as both answered it."""
        return list(zip(self.a.answered, self.b.answered, strict=True))


class Supplies(Protocol):
    """Where questions come from."""

    def __call__(self, scenes: int) -> Sequence[Asked]:
        """The next ones, of `scenes` scenes."""


def pairs(
    a: Asks, b: Asks, supply: Supplies, at_once: int, traffic: Traffic, seed: int = 0, count: int | None = None
) -> Iterator[Pair]:
    """Pairs without end.

    Args:
        a: one side.
        b: the other one.
        supply: of questions.
        at_once: questions that are under way at the same time at one side.
        traffic: interleaved = one side waits while the other one is asked, each side first in one of two pairs, which
            one is drawn: who is first was often just asked before, and its caches of the processor are warm; mirrored =
            both are asked at the same time, as a copy of live traffic would.
        seed: of the orders.
        count: questions of a pair; none = as many as are under way at once.
    """
    orders, waiting = _orders(random.Random(seed)), iter(_endless(supply))
    while True:
        asked = [next(waiting) for _ in range(count or at_once)]
        if traffic == "mirrored":
            blocks = _at_the_same_time(a, b, asked, at_once)
        else:
            turns = {number: closed_loop((a, b)[number].ask, asked, at_once) for number in next(orders)}
            blocks = [turns[0], turns[1]]
        yield Pair(*blocks)


def _at_the_same_time(a: Asks, b: Asks, asked: Sequence[Asked], at_once: int) -> list[Block]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda side: closed_loop(side.ask, asked, at_once), (a, b)))


def _orders(drawn: random.Random) -> Iterator[tuple[int, int]]:
    """Who is first in a pair: each of both in one of two, so that being first is worth the same to both."""
    while True:
        first = drawn.randrange(2)
        yield first, 1 - first
        yield 1 - first, first


def _endless(supply: Supplies) -> Iterator[Asked]:
    while True:
        yield from supply(1)


def _seconds(block: Block) -> float:
    return max(one.ended for one in block.answered) - min(one.began for one in block.answered)
