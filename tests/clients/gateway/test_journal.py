"""Events that are kept: numbered, waited for, and bounded."""

from __future__ import annotations

import asyncio

import pytest

from clients.gateway.journal import LOG_BYTES, PAGE_BYTES, Journal, Page
from pixelis.errors import NotFound


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def journal(most: int = 10**6, keep_s: float = 60, clock: Clock | None = None) -> Journal:
    return Journal(most, keep_s, clock or Clock())


async def test_what_has_happened_and_then_what_happens() -> None:
    kept = journal()
    log = kept.begin("a", "r", "died")
    kept.record(log, "one")
    assert await kept.read(log, 0) == Page(["one"], ended=False)
    late = asyncio.create_task(kept.read(log, 1))
    await asyncio.sleep(0)
    assert not late.done()
    kept.record(log, "two")
    assert await late == Page(["two"], ended=False)
    end = asyncio.create_task(kept.read(log, 2))
    await asyncio.sleep(0)
    kept.end(log)
    assert await end == Page([], ended=True)
    assert await kept.read(log, 1) == Page(["two"], ended=True)
    assert kept.find("a", "r") == (log, 2, True)
    kept.record(log, "three")  # after the end
    assert kept.find("a", "r") == (log, 2, True)


async def test_only_its_own_caller_finds_it() -> None:
    kept = journal()
    log = kept.begin("a", "r", "died")
    for caller, name in (("b", "r"), ("a", "q"), ("a r", ""), ("", "a r")):
        with pytest.raises(NotFound):
            kept.find(caller, name)
    other = kept.begin("b", "r", "died")
    assert (kept.find("a", "r")[0], kept.find("b", "r")[0]) == (log, other)


async def test_a_name_that_is_used_again_is_the_newest_s() -> None:
    kept = journal()
    old, new = kept.begin("a", "r", "died"), kept.begin("a", "r", "died")
    kept.record(old, "old")
    kept.record(new, "new")
    assert kept.find("a", "r")[0] == new
    assert (await kept.read(old, 0)).events == ["old"]
    kept.end(old)
    assert kept.find("a", "r") == (new, 1, False)


async def test_it_is_forgotten_after_a_while() -> None:
    clock = Clock()
    kept = journal(keep_s=60, clock=clock)
    log, runs = kept.begin("a", "r", "died"), kept.begin("a", "runs", "died")
    kept.end(log)
    clock.now = 59
    assert kept.find("a", "r")[2]
    clock.now = 61
    with pytest.raises(NotFound, match="for a while only"):
        kept.find("a", "r")
    assert kept.find("a", "runs")[0] == runs
    kept.end(runs)
    clock.now = 200
    kept.begin("a", "third", "died")
    assert kept.size == LOG_BYTES


async def test_too_many_bytes_are_dropped_the_oldest_end_first() -> None:
    kept = journal(most=5 * LOG_BYTES)
    logs = {name: kept.begin("a", name, "died") for name in "wxyz"}
    kept.end(logs["y"])
    kept.end(logs["x"])
    waits = asyncio.create_task(kept.read(logs["w"], 0))
    await asyncio.sleep(0)
    kept.record(logs["z"], "e" * 2 * LOG_BYTES)
    kept.record(logs["z"], "e" * (LOG_BYTES // 2))
    with pytest.raises(NotFound):
        kept.find("a", "y")
    with pytest.raises(NotFound):
        kept.find("a", "x")
    assert kept.find("a", "w")[0] == logs["w"]
    kept.record(logs["z"], "e" * (LOG_BYTES // 2))
    with pytest.raises(NotFound, match="no longer kept"):  # the oldest of those that run
        await waits
    kept.record(logs["w"], "nobody minds")
    assert kept.size <= 5 * LOG_BYTES
    kept.record(logs["z"], "e" * 5 * LOG_BYTES)  # more than there is room for, by itself
    with pytest.raises(NotFound):
        kept.find("a", "z")
    assert kept.size == 0


async def test_nothing_is_kept_where_nothing_may_be() -> None:
    kept = journal(most=0)
    kept.record(kept.begin("a", "r", "died"), "event")
    with pytest.raises(NotFound):
        kept.find("a", "r")
    assert kept.size == 0


async def test_a_reader_gets_a_page_at_a_time() -> None:
    kept = journal(most=10**7)
    log = kept.begin("a", "r", "died")
    for _ in range(10):
        kept.record(log, "e" * (PAGE_BYTES // 4))
    kept.end(log)
    first = await kept.read(log, 0)
    assert (len(first.events), first.ended) == (5, False)
    assert await kept.read(log, 5) == Page(["e" * (PAGE_BYTES // 4)] * 5, ended=True)
    assert await kept.read(log, 99) == Page([], ended=True)


async def test_whose_recorder_dies_ends() -> None:
    kept = journal()
    log = kept.begin("a", "r", "died")
    waits = asyncio.create_task(kept.read(log, 0))
    await asyncio.sleep(0)
    kept.abandon(log)
    assert await waits == Page(["died"], ended=True)
    kept.abandon(log)
    assert kept.find("a", "r") == (log, 1, True)
