"""A plan, and beside it what the build then took."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel

from builder.checkpoints.plan import Plan
from builder.checkpoints.room import Used, disk_use, largest_child


class Taken(BaseModel):
    """Both."""

    plan: Plan
    used: Used


class Account:
    """Opened before a build, closed behind it.

    Args:
        plan: of the build.
        places: where files appear: the build cache and the repository.
    """

    def __init__(self, plan: Plan, places: tuple[Path, ...]) -> None:
        self._plan, self._places = plan, places
        self._before, self._started = disk_use(places), time.perf_counter()

    def close(self) -> Taken:
        """What there is more of since it was opened."""
        used = Used(
            disk_bytes=disk_use(self._places) - self._before,
            memory_bytes=largest_child(),
            seconds=round(time.perf_counter() - self._started, 1),
        )
        return Taken(plan=self._plan, used=used)
