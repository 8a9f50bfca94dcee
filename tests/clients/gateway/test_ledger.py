"""One ledger, and two workers that talk to it over sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from unittest.mock import ANY

import pytest

from clients.gateway.allowance import Allowance, Left, Share
from clients.gateway.clerk import Clerk
from clients.gateway.journal import Page
from clients.gateway.ledger import OwnLedger
from clients.gateway.rates import Rates
from clients.gateway.remote import RemoteLedger
from pixelis.errors import DeadlineExceeded, NotFound, ServingError, Unavailable
from pixelis.gateway_config import Gateway


class Pair:
    """Two workers before one ledger."""

    def __init__(self, own: OwnLedger) -> None:
        self.own = own
        self.workers: list[RemoteLedger] = []
        self.clerks: list[asyncio.Task[None]] = []
        self.ready = 0

    async def open(self) -> None:
        for _ in range(2):
            ours, theirs = socket.socketpair()
            self.clerks.append(asyncio.create_task(Clerk(self.own, self._up).serve(ours)))
            self.workers.append(RemoteLedger(theirs))
            await self.workers[-1].open()

    def _up(self) -> None:
        self.ready += 1


@contextlib.asynccontextmanager
async def pair(**changes: int) -> AsyncIterator[Pair]:
    made = Pair(OwnLedger(Gateway.model_validate(changes)))
    made.own._rates = Rates(lambda: 0.0)
    await made.open()
    try:
        yield made
    finally:
        for worker in made.workers:
            await worker.close()
        await asyncio.gather(*made.clerks)
        await until(made.own, 0)


class Request:
    """One request of a worker, until it is told to end."""

    def __init__(self, worker: RemoteLedger, begun: list[str], name: str, caller: str, timeout_s: float) -> None:
        self._end = asyncio.Event()
        self.task = asyncio.create_task(self._run(worker, begun, name, caller, time.monotonic() + timeout_s))

    async def _run(self, worker: RemoteLedger, begun: list[str], name: str, caller: str, deadline: float) -> None:
        async with worker.turn(caller, 0, deadline):
            begun.append(name)
            await self._end.wait()

    async def end(self) -> None:
        self._end.set()
        await self.task


async def until(ledger: OwnLedger, in_flight: int, ordinary: int = 0) -> None:
    """Until so many requests are under way and so many wait, whatever the machine has to do besides."""
    end = time.monotonic() + 5
    standing = await ledger.standing()
    while (standing.in_flight, standing.ordinary) != (in_flight, ordinary):
        assert time.monotonic() < end, standing
        await asyncio.sleep(0.005)
        standing = await ledger.standing()


async def has_begun(begun: list[str], *names: str) -> None:
    """Until these have begun, in this order, and no other."""
    end = time.monotonic() + 5
    while len(begun) < len(names):
        assert time.monotonic() < end, begun
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)
    assert begun == list(names)


async def test_turns_are_bounded_and_fair_over_workers() -> None:
    async with pair(in_flight=2, waiting=2) as found:
        one, two = found.workers
        begun: list[str] = []
        many = []
        for number in range(3):
            many.append(Request((one, two)[number % 2], begun, f"many{number}", "many", 5 + number))
            await until(found.own, min(number + 1, 2), max(0, number - 1))
        last = Request(two, begun, "one", "one", 60)
        await until(found.own, 2, 2)
        await has_begun(begun, "many0", "many1")
        standing = await one.standing()
        assert (standing.in_flight, standing.ordinary, standing.urgent, found.ready) == (2, 2, 0, 2)
        with pytest.raises(Unavailable, match="2 requests wait") as refused:
            async with one.turn("third", 0, time.monotonic() + 5):
                pass
        assert refused.value.retry_after_s == 1
        await many[0].end()
        await has_begun(begun, "many0", "many1", "one")
        for request in (many[1], last, many[2]):
            await request.end()


async def test_rates_and_quotas_are_of_all_workers_together() -> None:
    async with pair() as found:
        a = Share("a", 60, 100)
        for number in range(10):
            allowance = await found.workers[number % 2].take(a, 1, 1)
            assert (allowance.refusal, allowance.minute, allowance.day) == (None, ANY, ANY)
            assert allowance.headers()["X-RateLimit-Remaining-Minute"] == str(9 - number)
        for worker in found.workers:
            refused = await worker.take(a, 1, 1)
            assert refused.refusal == ("More than 60 requests a minute.", "Try again in 1 s.")
            assert (refused.minute, refused.day) == (Left(60, 0, 10), Left(100, 90, ANY))
            assert (await worker.take(Share("a"), 1, 1)) == Allowance()
            assert (await worker.take(Share("b", 60), 1, 1)).refusal is None
            assert (await worker.take(Share("c", None, 2), 1, 1)).refusal is None
        refused = await found.workers[0].take(Share("c", None, 2), 1, 1)
        assert refused.refusal is not None
        assert "2 questions of a day (UTC), of which 0 are left" in refused.refusal[0]


async def test_a_worker_that_goes_gives_back_what_it_held() -> None:
    async with pair(in_flight=1) as found:
        one, two = found.workers
        begun: list[str] = []
        held = Request(one, begun, "held", "a", 60)
        await until(found.own, 1)
        waits, other = Request(one, begun, "waits", "a", 1), Request(two, begun, "other", "b", 60)
        await until(found.own, 1, 2)
        await one.close()
        await has_begun(begun, "held", "other")
        await until(found.own, 1)
        await other.end()
        for request in (held, waits):
            request.task.cancel()
        await asyncio.gather(held.task, waits.task, return_exceptions=True)


async def test_who_leaves_or_comes_too_late_holds_nothing() -> None:
    async with pair(in_flight=1) as found:
        one, two = found.workers
        begun: list[str] = []
        first = Request(one, begun, "first", "a", 60)
        await until(found.own, 1)
        leaves = Request(two, begun, "leaves", "a", 60)
        await until(found.own, 1, 1)
        leaves.task.cancel()
        with pytest.raises(DeadlineExceeded, match="turn"):
            async with two.turn("a", 0, time.monotonic() + 0.05):
                pass
        await until(found.own, 1)
        first.task.cancel()
        await until(found.own, 0)


async def test_events_of_one_worker_are_read_by_the_other() -> None:
    async with pair() as found:
        one, two = found.workers
        log = one.begin("a", "r", "died")
        one.record(log, "first")
        assert (await one.find("a", "r"))[1:] == (1, False)
        number, count, ended = await two.find("a", "r")
        assert (count, ended, await two.read(number, 0)) == (1, False, Page(["first"], ended=False))
        waits = asyncio.create_task(two.read(number, 1))
        one.record(log, "second")
        one.end(log)
        assert (await waits).events == ["second"]
        assert await two.read(number, 2) == Page([], ended=True)
        with pytest.raises(NotFound):
            await two.find("b", "r")
        left = asyncio.create_task(two.read((await two.find("a", "r"))[0], 2))
        left.cancel()
        held = two.begin("a", "q", "died")
        two.record(held, "first")
        await two.standing()
        await two.close()
        number, _, _ = await one.find("a", "q")
        page = await one.read(number, 1)
        assert (page.events, (await one.read(number, 2)).ended) == (["died"], True)


async def test_a_defect_of_the_ledger_leaves_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as found:
        found.own.workers = None  # type: ignore[assignment]
        with pytest.raises(ServingError, match="failed: TypeError"):
            await asyncio.wait_for(found.workers[0].standing(), 5)
        found.own.workers = {}
        assert (await found.workers[0].standing()).workers == {}
    assert "asked for `standing`" in caplog.text


async def test_without_a_ledger_nothing_is_served() -> None:
    ours, theirs = socket.socketpair()
    worker, told = RemoteLedger(theirs), asyncio.Event()
    worker.lost = told.set
    await worker.open()
    asked = asyncio.create_task(worker.standing())
    await asyncio.sleep(0.02)
    ours.close()
    with pytest.raises(Unavailable, match="is ending"):
        await asked
    await asyncio.wait_for(told.wait(), 1)
    with pytest.raises(Unavailable, match="is ending"):
        await worker.take(Share("a", 60), 1, 1)
    await worker.close()
