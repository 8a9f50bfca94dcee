"""What the current task does, until something else has it break off."""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType


class BrokenOff:
    """A block of the current task that `now` ends with `error`.

    As `asyncio.timeout` does it, which Python 3.10 does not have; unlike `asyncio.wait_for` and `asyncio.wait` it needs
    no task of its own, which every request would pay for.

    Args:
        error: what the block raises then.
    """

    def __init__(self, error: Exception) -> None:
        self._error, self._now = error, False
        self._task: asyncio.Task[object] | None = None

    def now(self) -> None:
        """Break off; called within the block's time, from elsewhere in the same loop."""
        assert self._task is not None
        self._now = True
        self._task.cancel()

    def __enter__(self) -> BrokenOff:
        self._task = asyncio.current_task()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._now:
            return
        if sys.version_info >= (3, 11):
            assert self._task is not None
            self._task.uncancel()
        if kind is asyncio.CancelledError:
            raise self._error from None
