"""A tier outside this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from python_backends.caching.counts import TierCounts
from python_backends.caching.key import Key


class Aged(NamedTuple):
    """A value, and its age in seconds."""

    value: bytes
    age_s: float


class Tier(Protocol):
    """Redis or a disk. Nothing that goes wrong there is raised: it is counted, and is a miss."""

    label: str
    counts: TierCounts

    def get_many(self, keys: Sequence[Key]) -> dict[str, Aged]:
        """What there is, by name."""

    def put_many(self, values: Mapping[str, bytes], age_s: float = 0.0) -> None:
        """Keep values, by name, made `age_s` seconds ago."""

    def clear(self, prefix: str | None = None, version: str | None = None) -> int:
        """Forget what is meant; how many entries that were."""

    def held(self) -> tuple[int, int]:
        """Entries of this thing and their bytes; zeros where that is not known."""

    def close(self) -> None:
        """Let go of connections and files."""
