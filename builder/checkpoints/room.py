"""Whether a build fits on this machine, before it begins; and what it then took."""

from __future__ import annotations

import resource
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from builder.checkpoints.plan import Plan
from pixelis.errors import BuildError
from pixelis.machine import this_machine

MEMORY = Path("/proc/meminfo")
_SPARE = 1.05
"""Of the disk: what an estimate may be short by."""


class Used(BaseModel):
    """What a build took.

    Attributes:
        disk_bytes: more in build cache and repository than before; a file that is in both counts once.
        memory_bytes: resident, in the largest process that was started.
    """

    disk_bytes: int
    memory_bytes: int
    seconds: float


def check_room(plan: Plan, state: Path, free_memory: int | None = None) -> None:
    """Hold the plan against the machine.

    Args:
        plan: of the build.
        state: where the build cache is, or will be.
        free_memory: bytes; by default what this machine has now, where it says so.

    Raises:
        BuildError: there is not enough disk or memory.
    """
    free = shutil.disk_usage(_existing(state)).free
    needed = plan.disk_bytes + max((row.scratch_bytes for row in plan.models), default=0)
    if needed * _SPARE > free:
        raise BuildError(
            f"The build takes about {_gib(needed)} of disk, and {_gib(free)} are free at {state.absolute()}.",
            mend="Make room (`pixelis models prune --cache`), or put PIXELIS_STATE and PIXELIS_REPOSITORY elsewhere.",
        )
    memory = available_memory() if free_memory is None else free_memory
    if memory is not None and plan.memory_bytes > memory:
        largest = max(plan.models, key=lambda row: row.memory_bytes)
        raise BuildError(
            f"Building {largest.model} as {largest.candidate} takes about {_gib(plan.memory_bytes)} of memory, "
            f"and {_gib(memory)} are free.",
            mend="End what else runs, or build smaller forms (`--formats onnx --precisions int8`); "
            "`--dry-run` says what each takes.",
        )


def available_memory() -> int | None:
    """Bytes that a new process may take; none where the system does not say."""
    if not MEMORY.is_file():
        return None
    for line in MEMORY.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return min(int(value.split()[0]) * 1024, this_machine().memory_mib * 2**20)
    return None


def disk_use(places: Iterable[Path]) -> int:
    """Bytes of all files in `places`; one that has several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for place in places:
        for path in place.rglob("*"):
            if path.is_file() and not path.is_symlink():
                stat = path.stat()
                seen[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(seen.values())


def largest_child() -> int:
    """Resident bytes, at the highest, of the largest process that this one started and waited for."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
