"""Whose turn it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from clients.gateway.admission import Admission
from pixelis.errors import DeadlineExceeded, Unavailable

Come = Callable[..., Awaitable[None]]


class Line:
    """Requests that note when their turn came, and end when they are told."""

    def __init__(self, in_flight: int, waiting: int = 100) -> None:
        self.admission = Admission(in_flight, waiting)
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, caller: str = "a", priority: int = 0, timeout_s: float = 30) -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._one(name, caller, priority, time.monotonic() + timeout_s))
        await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await self.tasks[name]
        await asyncio.sleep(0)

    async def _one(self, name: str, caller: str, priority: int, deadline: float) -> None:
        async with self.admission.turn(caller, priority, deadline):
            self.begun.append(name)
            await self.ends[name].wait()


async def test_so_many_are_under_way_and_the_others_wait() -> None:
    line = Line(2)
    for name in "abc":
        await line.come(name)
    assert (line.begun, line.admission.in_flight, line.admission.waiting(urgent=False)) == (["a", "b"], 2, 1)
    await line.end("a")
    assert (line.begun, line.admission.in_flight, line.admission.waiting(urgent=False)) == (["a", "b", "c"], 2, 0)
    await line.end("b")
    await line.end("c")
    assert line.admission.in_flight == 0


async def test_urgent_ones_go_first_and_then_whose_deadline_is_next() -> None:
    line = Line(1)
    await line.come("first")
    await line.come("late", timeout_s=50)
    await line.come("soon", timeout_s=10)
    await line.come("urgent", priority=7, timeout_s=90)
    for name in ("first", "urgent", "soon", "late"):
        await line.end(name)
    assert line.begun == ["first", "urgent", "soon", "late"]


async def test_a_caller_of_many_does_not_hold_up_a_caller_of_one() -> None:
    line = Line(2)
    for number in range(6):
        await line.come(f"many{number}", "many", timeout_s=5)
    await line.come("one", "one", timeout_s=60)
    await line.end("many0")
    assert line.begun == ["many0", "many1", "one"]


async def test_too_many_are_refused_each_class_by_itself() -> None:
    line = Line(1, waiting=1)
    await line.come("under way")
    await line.come("waits")
    await line.come("refused")
    with pytest.raises(Unavailable) as refused:
        await line.tasks["refused"]
    assert refused.value.retry_after_s == 1
    await line.come("urgent", priority=10)
    await line.end("under way")
    assert line.begun == ["under way", "urgent"]


async def test_a_turn_that_does_not_come_in_time_is_an_error() -> None:
    line = Line(1)
    await line.come("long")
    await line.come("short", timeout_s=0.05)
    with pytest.raises(DeadlineExceeded, match="turn"):
        await line.tasks["short"]
    assert line.admission.waiting(urgent=False) == 0
    await line.end("long")
    assert line.admission.in_flight == 0


async def test_who_leaves_while_waiting_takes_nobody_s_turn() -> None:
    line = Line(1)
    for name in ("a", "b", "c"):
        await line.come(name)
    line.tasks["b"].cancel()
    await line.end("a")
    assert line.begun == ["a", "c"]
    line.tasks["c"].cancel()
    await asyncio.gather(*line.tasks.values(), return_exceptions=True)
    assert line.admission.in_flight == 0


async def test_who_leaves_in_the_moment_of_the_turn_gives_it_on() -> None:
    line = Line(1)
    for name in ("a", "b", "c"):
        await line.come(name)
    line.ends["a"].set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # `a` has left and `b` has been given its turn, but has not run yet
    line.tasks["b"].cancel()
    await asyncio.gather(line.tasks["b"], return_exceptions=True)
    await asyncio.sleep(0.01)
    assert line.begun[-1] == "c"
    await line.end("c")
    assert line.admission.in_flight == 0
