"""The tiers as one, and who computes what is in none of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from pixelis.cache_config import Cached
from python_backends.caching.codec import Codec
from python_backends.caching.flights import Flight, Flights
from python_backends.caching.key import Key
from python_backends.caching.locks import Locks
from python_backends.caching.memory import MemoryTier
from python_backends.caching.tier import Tier
from python_backends.caching.usage import Usage

V = TypeVar("V")
Compute = Callable[[Sequence[int]], Sequence[V]]
"""Positions of what is missing -> its values, in that order."""

WAIT_S = 30.0
_POLL_S = (0.002, 0.05)
"""Between two looks at Redis for what another replica computes: the first, and the longest."""


def _always(_: object) -> bool:
    return True


class Cache(Generic[V]):
    """Values of one kind by their keys. For any number of threads.

    Args:
        name: of the cached thing.
        codec: its values <-> bytes.
        config: bounds and policy of the memory.
        tiers: below memory, the nearest first.
        locks: by which replicas compute a value once; none = each for itself.
        clock: monotonic seconds.

    Attributes:
        memory: tier 1.
        tiers: those below.
        usage: what is asked for.
    """

    def __init__(
        self,
        name: str,
        codec: Codec[V],
        config: Cached,
        tiers: Sequence[Tier] = (),
        locks: Locks | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.config, self._codec = name, config, codec
        self.memory, self.tiers = MemoryTier(config, clock), list(tiers)
        self._locks, self._flights = locks, Flights()
        self.usage = Usage(clock)

    @property
    def on(self) -> bool:
        """Whether anything is kept at all."""
        return bool(self.config.entries and self.config.bytes)

    def get(self, key: Key) -> V | None:
        """A value, if there is one in any tier."""
        return self.find([key]).get(key.name)

    def peek(self, key: Key) -> V | None:
        """A value in memory, if it is there; not counted as asked for, unless it is."""
        value = self.memory.peek(key) if self.on else None
        if value is None:
            return None
        self.usage.saw([key], 1)
        return self._decoded(value)

    def find(self, keys: Sequence[Key]) -> dict[str, V]:
        """What there is in any tier, by name."""
        if not self.on or not keys:
            return {}
        found = self._look(keys)
        self.usage.saw(keys, sum(key.name in found for key in keys))
        return {name: self._decoded(value) for name, value in found.items()}

    def put(self, key: Key, value: V) -> None:
        """Keep a value in every tier."""
        if self.on:
            self._keep({key: self._codec.encode(value)})

    def get_or(
        self, key: Key, compute: Callable[[], V], *, keep: Callable[[V], bool] = _always, wait_s: float = WAIT_S
    ) -> tuple[V, bool]:
        """As `get_many` for one key; and whether the value was there, or came from another who computed it."""
        own: list[V] = []

        def one(_: Sequence[int]) -> list[V]:
            own.append(compute())
            return own

        (value,) = self.get_many([key], one, keep=keep, wait_s=wait_s)
        return (own[0], False) if own else (value, True)

    def get_many(
        self,
        keys: Sequence[Key],
        compute: Compute[V],
        *,
        keep: Callable[[V], bool] = _always,
        wait_s: float = WAIT_S,
    ) -> list[V]:
        """The values of `keys`, in their order; what is missing is computed in one call, each once.

        What another thread, or another replica, computes at this moment is waited for instead. If that fails, or takes
        longer than `wait_s`, it is computed here all the same.

        Args:
            keys: any number, some perhaps twice.
            compute: called at most once for what nobody else computes, and at most once for what others failed at.
            keep: whether a computed value may be kept; whoever waits for it gets it anyway.
            wait_s: for others, at most.

        Raises:
            Exception: whatever `compute` raises; nothing is kept then, and those who waited compute for themselves.
        """
        if not self.on:
            return list(compute(range(len(keys)))) if keys else []
        first: dict[str, int] = {}
        for i, key in enumerate(keys):
            first.setdefault(key.name, i)
        asked = [keys[i] for i in first.values()]
        found = self._look(asked)
        self.usage.saw(keys, sum(key.name in found for key in keys))
        missing = [key for key in asked if key.name not in found]
        if missing:
            flight = _Misses(self, first, compute, keep, time.monotonic() + wait_s)
            found.update(flight.fill(missing))
        return [self._decoded(found[key.name]) for key in keys]

    def clear(self, prefix: str | None = None, version: str | None = None) -> int:
        """Forget, in every tier, what has this prefix and this version of a model (`policy-3`); none = any."""
        return self.memory.clear(prefix, version) + sum(tier.clear(prefix, version) for tier in self.tiers)

    def stats(self) -> dict[str, Any]:
        """What is asked for, and each tier's counts and contents."""
        entries, size, by = self.memory.held()
        tiers: dict[str, Any] = {"memory": {**self.memory.counts.snapshot(), "entries": entries, "bytes": size}}
        for tier in self.tiers:
            tiers[tier.label] = tier.counts.snapshot()
        return {**self.usage.snapshot(), "bytes_by_prefix": by, "tiers": tiers}

    def close(self) -> None:
        """Let go of the tiers."""
        for tier in self.tiers:
            tier.close()

    def _decoded(self, data: bytes) -> V:
        return self._codec.decode(data)

    def _look(self, keys: Sequence[Key]) -> dict[str, bytes]:
        """What the tiers hold."""
        found = self.memory.get_many(keys)
        found.update(self._below([key for key in keys if key.name not in found]))
        return found

    def _below(self, keys: Sequence[Key]) -> dict[str, bytes]:
        """What the tiers below memory hold; it moves up."""
        found: dict[str, bytes] = {}
        above: list[Tier] = []
        for tier in self.tiers:
            left = [key for key in keys if key.name not in found]
            if not left:
                break
            for name, (value, age) in self._whole(tier, left).items():
                found[name] = value
                for upper in above:
                    upper.put_many({name: value}, age)
                self.memory.put(next(key for key in left if key.name == name), value, age)
            above.append(tier)
        return found

    def _whole(self, tier: Tier, keys: Sequence[Key]) -> dict[str, tuple[bytes, float]]:
        """What a tier holds that can be read: whole as an envelope may be, its value need not be one of ours."""
        good = {}
        for name, (value, age) in tier.get_many(keys).items():
            try:
                self._codec.decode(value)
            except ValueError:
                tier.counts.add("errors")
            else:
                good[name] = (value, age)
        return good

    def _keep(self, values: Mapping[Key, bytes]) -> None:
        for key, value in values.items():
            self.memory.put(key, value)
        for tier in self.tiers:
            tier.put_many({key.name: value for key, value in values.items()})


class _Misses(Generic[V]):
    """One call's way to what no tier holds."""

    def __init__(
        self,
        cache: Cache[V],
        positions: Mapping[str, int],
        compute: Compute[V],
        keep: Callable[[V], bool],
        until: float,
    ) -> None:
        self._cache, self._positions, self._compute, self._keep, self._until = cache, positions, compute, keep, until
        self._mine: dict[str, Flight] = {}

    def fill(self, missing: Sequence[Key]) -> dict[str, bytes]:
        """All of them, computed or waited for."""
        mine, theirs = self._cache._flights.join([key.name for key in missing])
        self._mine = mine
        try:
            found = self._own([key for key in missing if key.name in mine])
        finally:
            for name in mine:
                self._land(name, None)
        waited = {name: flight.wait(self._until - time.monotonic()) for name, flight in theirs.items()}
        shared = {name: value for name, value in waited.items() if value is not None}
        self._cache.usage.made(0, len(shared))
        found.update(shared)
        left = [key for key in missing if key.name not in found]
        if left:
            found.update(self._made(left))
        return found

    def _land(self, name: str, value: bytes | None) -> None:
        self._cache._flights.land(name, self._mine[name], value)

    def _own(self, keys: Sequence[Key]) -> dict[str, bytes]:
        """What is this thread's to compute, where no other replica does."""
        found = {}
        for key in keys:
            landed = self._cache.memory.peek(key)  # it may have landed between this call's look and its joining
            if landed is not None:
                found[key.name] = landed
                self._land(key.name, landed)
        left = [key for key in keys if key.name not in found]
        if left:
            found.update(self._alone(left) if self._cache._locks is None else self._among(left, self._cache._locks))
        return found

    def _alone(self, keys: Sequence[Key]) -> dict[str, bytes]:
        made = self._made(keys)
        for name, value in made.items():
            self._land(name, value)
        return made

    def _among(self, keys: Sequence[Key], locks: Locks) -> dict[str, bytes]:
        """As `_alone`, by turns with other replicas: what they compute is looked for in Redis."""
        found: dict[str, bytes] = {}
        left, pause = list(keys), _POLL_S[0]
        while left:
            late = time.monotonic() >= self._until
            taken = [key.name for key in left] if late else locks.take([key.name for key in left])
            try:
                found.update(self._seen(left))  # another replica may have ended just before the lock was free
                mine = [key for key in left if key.name in taken and key.name not in found]
                if mine:
                    found.update(self._alone(mine))
            finally:
                locks.release(taken)
            left = [key for key in left if key.name not in found]
            if left:
                time.sleep(min(pause, max(0.0, self._until - time.monotonic())))
                pause = min(2 * pause, _POLL_S[1])
        return found

    def _seen(self, keys: Sequence[Key]) -> dict[str, bytes]:
        """What the shared tiers hold by now."""
        found = self._cache._below(keys)
        for name, value in found.items():
            self._land(name, value)
        self._cache.usage.made(0, len(found))
        return found

    def _made(self, keys: Sequence[Key]) -> dict[str, bytes]:
        """Computed here and now, and kept where it may be."""
        values = self._compute([self._positions[key.name] for key in keys])
        encoded = {key: self._cache._codec.encode(value) for key, value in zip(keys, values, strict=True)}
        self._cache._keep({key: encoded[key] for key, value in zip(keys, values, strict=True) if self._keep(value)})
        self._cache.usage.made(len(keys), 0)
        return {key.name: value for key, value in encoded.items()}
