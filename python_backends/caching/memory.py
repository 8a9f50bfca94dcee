"""Tier 1: this process's memory."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from pixelis.cache_config import Cached
from python_backends.caching.counts import TierCounts
from python_backends.caching.entry import OVERHEAD, Entry, Gone, hash_of
from python_backends.caching.key import Key, meant
from python_backends.caching.lru import Lru
from python_backends.caching.tinylfu import TinyLfu


class Policy(Protocol):
    """Which entries stay. `held` is the weight of those that do."""

    @property
    def held(self) -> int:
        """Weight of all entries."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Entry]: ...
    def asked(self, hashed: int) -> None:
        """Something was asked for."""

    def get(self, name: str) -> Entry | None:
        """An entry that is used now."""

    def peek(self, name: str) -> Entry | None:
        """An entry, and nothing changes."""

    def put(self, entry: Entry) -> Gone:
        """Take an entry in; what went for it, and what was not let in."""

    def drop(self, name: str) -> None:
        """Forget an entry, if it is here."""


POLICIES: dict[str, Callable[[int, int], Policy]] = {"tinylfu": TinyLfu, "lru": Lru}


class MemoryTier:
    """Entries within a budget, each for its time; for any number of threads.

    An entry weighs its bytes, `bytes / entries` of the budget at least: so both bounds hold with one number. Ages are
    by a clock that never jumps.

    Args:
        config: bounds, policy and time to live.
        clock: monotonic seconds.

    Attributes:
        counts: what happened.
    """

    label = "memory"

    def __init__(self, config: Cached, clock: Callable[[], float] = time.monotonic) -> None:
        self._config, self._clock, self._lock = config, clock, threading.Lock()
        self._least = config.bytes // config.entries if config.entries else 0
        self._policy = self._empty()
        self.counts = TierCounts()

    def _empty(self) -> Policy:
        return POLICIES[self._config.policy](self._least * self._config.entries, self._config.entries)

    def get_many(self, keys: Sequence[Key]) -> dict[str, bytes]:
        """What there is, by name."""
        started, now, found = time.perf_counter(), self._clock(), dict[str, bytes]()
        hits = expired = 0
        with self._lock:
            for key in keys:
                self._policy.asked(hash_of(key.digest))
                entry = self._policy.get(key.name)
                if entry is None:
                    continue
                if now >= entry.expires:
                    self._policy.drop(key.name)
                    expired += 1
                else:
                    found[key.name] = entry.value
                    hits += 1
        self.counts.add("expiries", expired)
        self.counts.looked(hits, len(keys) - hits, time.perf_counter() - started)
        return found

    def peek(self, key: Key) -> bytes | None:
        """A value, without counting that it was asked for."""
        with self._lock:
            entry = self._policy.peek(key.name)
            return entry.value if entry is not None and self._clock() < entry.expires else None

    def put(self, key: Key, value: bytes, age_s: float = 0.0) -> None:
        """Keep a value that was made `age_s` seconds ago, if it is worth it."""
        now = self._clock()
        left = math.inf if self._config.ttl_s is None else self._config.ttl_s - age_s
        if left <= 0 or not self._config.entries:
            return
        weight = max(len(value) + OVERHEAD, self._least)
        with self._lock:
            gone = self._policy.put(Entry(key.name, hash_of(key.digest), value, now + left, weight))
        expired = sum(now >= entry.expires for entry in gone.evicted)
        self.counts.add("expiries", expired)
        self.counts.add("evictions", len(gone.evicted) - expired)
        self.counts.add("refused", len(gone.refused))

    def clear(self, prefix: str | None = None, version: str | None = None) -> int:
        """Forget what is meant; how many entries that were."""
        with self._lock:
            names = [entry.name for entry in self._policy if meant(entry.name, prefix, version)]
            if len(names) == len(self._policy):
                self._policy = self._empty()
            for name in names:
                self._policy.drop(name)
        return len(names)

    def entries(self) -> list[tuple[Entry, float]]:
        """All entries that are still good, the ones to go first in front, and how old each is, in seconds."""
        now, ttl = self._clock(), self._config.ttl_s
        with self._lock:
            kept = [entry for entry in self._policy if now < entry.expires]
        return [(entry, 0.0 if ttl is None else ttl - (entry.expires - now)) for entry in kept]

    def held(self) -> tuple[int, int, dict[str, int]]:
        """Entries, their bytes (values and what goes with them), and those by prefix."""
        by: Counter[str] = Counter()
        with self._lock:
            for entry in self._policy:
                by[entry.name.partition(":")[0]] += len(entry.value) + OVERHEAD
            return len(self._policy), by.total(), dict(by)
