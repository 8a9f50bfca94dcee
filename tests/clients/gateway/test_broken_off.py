"""What a task does can be ended from elsewhere, with a reason."""

from __future__ import annotations

import asyncio
import sys

import pytest

from clients.gateway.broken_off import BrokenOff


async def for_long(error: Exception) -> None:
    with BrokenOff(error) as off:
        asyncio.get_running_loop().call_later(0.01, off.now)
        await asyncio.sleep(60)


async def test_a_block_that_is_broken_off_raises_its_reason_and_the_task_goes_on() -> None:
    with pytest.raises(KeyError, match="late"):
        await for_long(KeyError("late"))
    await asyncio.sleep(0)  # nothing of the cancellation is left
    if sys.version_info >= (3, 11):
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


async def own(error: Exception) -> None:
    with BrokenOff(KeyError("late")) as off:
        alarm = asyncio.get_running_loop().call_later(0.01, off.now)
        try:
            raise error
        finally:
            alarm.cancel()


async def test_a_block_that_ends_by_itself_is_none_of_its_business() -> None:
    with pytest.raises(ValueError, match="own"):
        await own(ValueError("own"))
    await asyncio.sleep(0.05)


async def test_who_cancels_the_task_itself_is_not_told_another_reason() -> None:
    task = asyncio.ensure_future(for_long(KeyError("late")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def waits_for_what_is_there(error: Exception) -> None:
    there: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    with BrokenOff(error) as off:
        asyncio.get_running_loop().call_soon(there.set_result, 1)
        asyncio.get_running_loop().call_soon(off.now)
        await there


async def test_it_is_broken_off_even_in_the_moment_in_which_what_it_waits_for_is_there() -> None:
    with pytest.raises(KeyError, match="late"):
        await waits_for_what_is_there(KeyError("late"))
    await asyncio.sleep(0)
