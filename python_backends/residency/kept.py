"""What the keeper knows of a checkpoint, and what it needs of whoever loads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from pixelis.errors import PixelisError


class State(str, Enum):
    """Where a checkpoint is. All but `ABSENT` take memory."""

    ABSENT = "absent"
    LOADING = "loading"
    RESIDENT = "resident"
    LEAVING = "leaving"


@dataclass(frozen=True)
class Size:
    """What a checkpoint takes in memory.

    Attributes:
        bytes: of all its processes.
        source: how that is known, in words.
    """

    bytes: int
    source: str


class Loader(Protocol):
    """Loads and unloads checkpoints by name."""

    def names(self) -> list[str]:
        """Those that there are."""

    def size(self, name: str) -> Size:
        """What one takes, or will take."""

    def loaded(self, name: str) -> bool:
        """Whether it answers; quick."""

    def load(self, name: str) -> None:
        """Load it; returns when it answers.

        Raises:
            PixelisError: it does not load; nothing of it is left.
        """

    def unload(self, name: str) -> None:
        """Unload it; returns when its processes have ended and their memory is free."""

    def look(self, name: str) -> None:
        """Measure what it takes now."""


class Watch(Protocol):
    """Is told what the keeper does."""

    def loaded(self, name: str, seconds: float) -> None:
        """A checkpoint was loaded."""

    def failed(self, name: str, error: PixelisError) -> None:
        """A checkpoint was to be loaded or unloaded, and was not."""

    def unloaded(self, name: str) -> None:
        """A checkpoint's memory is free."""

    def waited(self, name: str, seconds: float) -> None:
        """A request has waited for a lease, and got it."""

    def expired(self, name: str) -> None:
        """A lease was not given back in time."""


@dataclass
class Kept:
    """One checkpoint.

    Attributes:
        leases: id -> when it ends by itself, in seconds since the epoch.
        used: when a lease of it last began or ended (monotonic seconds).
        ready_at: when it was last loaded.
        load_s: how long that took.
        attempt: how often it was begun to be loaded.
        failed: the attempt that failed last, and why.
    """

    name: str
    state: State = State.ABSENT
    leases: dict[str, float] = field(default_factory=dict)
    used: float = 0.0
    ready_at: float = 0.0
    load_s: float = 0.0
    attempt: int = 0
    failed: tuple[int, PixelisError] | None = None


@dataclass(frozen=True)
class Lease:
    """The right to use a checkpoint.

    Attributes:
        id: to give it back by.
        waited_s: how long it was waited for.
        loaded: whether it had to be loaded.
    """

    id: str
    waited_s: float
    loaded: bool


@dataclass(eq=False)
class Waiter:
    """A request that wants a lease.

    Attributes:
        since: monotonic seconds.
        attempt: the load that it waits for.
    """

    name: str
    since: float
    attempt: int | None = None
