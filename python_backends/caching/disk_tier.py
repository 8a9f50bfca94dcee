"""Tier 3: a folder on disk, kept by diskcache (SQLite), which several processes may share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pixelis.errors import SetupError
from python_backends.caching.counts import TierCounts
from python_backends.caching.envelope import unwrap, wrap
from python_backends.caching.key import Key, meant
from python_backends.caching.tier import Aged

T = TypeVar("T")
log = logging.getLogger(__name__)

BUSY_S = 0.05
"""How long SQLite waits for another process."""


class DiskTier:
    """Values on disk, each in an envelope. See `tier.Tier`.

    Where the folder cannot be written, nothing is kept; where it cannot even be opened, nothing is found. It is tried
    again after a while.

    Args:
        folder: made when absent.
        budget: bytes; what was stored longest ago goes first.
        ttl_s: how long a value is used; none = as long as it lies there.
        clock: seconds since the epoch; it may jump: what seems to come from the future is not used.

    Raises:
        SetupError: the package `diskcache` is missing.
    """

    label = "disk"
    again_s = 5.0

    def __init__(self, folder: Path, budget: int, ttl_s: float | None, clock: Callable[[], float] = time.time) -> None:
        try:
            from python_backends.caching import disk_plain
        except ModuleNotFoundError as error:
            raise SetupError(
                "The cache on disk needs the package `diskcache`, which is not installed.",
                mend="Install it: pip install 'pixelis-serving[caches]', or set `disk_bytes` to 0.",
            ) from error
        self._open: Callable[[], Any] = lambda: disk_plain.open_folder(folder, budget, BUSY_S)
        self._folder, self._ttl, self._clock = folder, ttl_s, clock
        self._opened: Any = None
        self._next, self._said = 0.0, ""
        self.counts = TierCounts()

    def get_many(self, keys: Sequence[Key]) -> dict[str, Aged]:
        """What there is, by name."""
        started, found = time.perf_counter(), dict[str, Aged]()
        for key in keys:
            data = self._ask(lambda cache, k=key: cache.get(k.name))  # type: ignore[misc]
            if data is None:
                continue
            try:
                value, age = unwrap(key.name, data if isinstance(data, bytes) else b"", self._clock())
            except ValueError:
                self.counts.add("errors")
                continue
            if self._ttl is None or age < self._ttl:
                found[key.name] = Aged(value, age)
            else:
                self.counts.add("expiries")
        self.counts.looked(len(found), len(keys) - len(found), time.perf_counter() - started)
        return found

    def put_many(self, values: Mapping[str, bytes], age_s: float = 0.0) -> None:
        """Keep values."""
        made = self._clock() - age_s
        for name, value in values.items():
            self._ask(lambda cache, n=name, v=value: cache.set(n, wrap(n, v, made)))  # type: ignore[misc]

    def clear(self, prefix: str | None = None, version: str | None = None) -> int:
        """Forget what is meant; how many entries that were."""
        names = self._ask(lambda cache: [name for name in cache if meant(name, prefix, version)]) or []
        return sum(bool(self._ask(lambda cache, n=name: cache.delete(n))) for name in names)  # type: ignore[misc]

    def held(self) -> tuple[int, int]:
        """Entries and their bytes."""
        return self._ask(lambda cache: (len(cache), int(cache.volume()))) or (0, 0)

    def close(self) -> None:
        """Close the files."""
        if self._opened is not None:
            self._opened.close()

    def _ask(self, work: Callable[[Any], T]) -> T | None:
        """What `work` gets of the folder; none where that fails, which is counted, or where it cannot be opened."""
        if self._opened is None and time.monotonic() < self._next:
            return None
        try:
            if self._opened is None:
                self._opened = self._open()
            return work(self._opened)
        except Exception as error:  # SQLite's, the file system's, and those of damaged files
            self.counts.add("errors")
            if self._opened is None:
                self._next = time.monotonic() + self.again_s
            self._tell(f"{type(error).__name__}: {error}")
            return None

    def _tell(self, said: str) -> None:
        if said != self._said:
            self._said = said
            log.warning("The cache in %s fails: %s", self._folder.name, said)
