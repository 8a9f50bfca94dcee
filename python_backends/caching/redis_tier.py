"""Tier 2: a Redis that replicas share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from python_backends.caching.counts import TierCounts
from python_backends.caching.envelope import unwrap, wrap
from python_backends.caching.key import Key, meant
from python_backends.caching.redis_link import RedisLink
from python_backends.caching.tier import Aged

SCAN = 500
"""Names of one reading when entries are looked through."""


class RedisTier:
    """Values in Redis, each in an envelope, for a time. See `tier.Tier`.

    Args:
        link: to Redis.
        prefix: of the cached thing, for `clear` and `held`.
        ttl_s: how long a value is used; none = as the link's settings say.
        clock: seconds since the epoch; it may jump: what seems to come from the future is not used.
    """

    label = "redis"

    def __init__(
        self, link: RedisLink, prefix: str, ttl_s: float | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._link, self._prefix, self._clock = link, prefix, clock
        self._ttl = ttl_s or link.config.ttl_s
        self._space = f"{link.config.namespace}:"
        self.counts = TierCounts()

    def get_many(self, keys: Sequence[Key]) -> dict[str, Aged]:
        """What there is, by name, in one round trip."""
        started = time.perf_counter()
        names = [key.name for key in keys]
        stored = [self._space + name for name in names]
        answer = self._link.ask(lambda client: client.mget(stored), self.counts)
        found: dict[str, Aged] = {}
        for name, data in zip(names, _values(answer, len(names)), strict=True):
            if data is None:
                continue
            try:
                value, age = unwrap(name, data, self._clock())
            except ValueError:
                self.counts.add("errors")
                continue
            if age < self._ttl:
                found[name] = Aged(value, age)
            else:
                self.counts.add("expiries")
        self.counts.looked(len(found), len(names) - len(found), time.perf_counter() - started)
        return found

    def put_many(self, values: Mapping[str, bytes], age_s: float = 0.0) -> None:
        """Keep values, in one round trip; a Redis that is full keeps none."""
        fit = {name: value for name, value in values.items() if len(value) <= self._link.config.value_bytes}
        self.counts.add("refused", len(values) - len(fit))
        made, left_ms = self._clock() - age_s, int(1000 * (self._ttl - age_s))
        if not fit or left_ms <= 0:
            return

        def put(client: Any) -> None:
            with client.pipeline(transaction=False) as pipeline:
                for name, value in fit.items():
                    pipeline.set(self._space + name, wrap(name, value, made), px=left_ms)
                pipeline.execute()

        self._link.ask(put, self.counts)

    def clear(self, prefix: str | None = None, version: str | None = None) -> int:
        """Forget what is meant; how many entries that were, those before an error."""
        gone = 0
        for batch in self._scan():
            names = [self._space + name for name in batch if meant(name, prefix, version)]
            if names:
                gone += self._link.ask(partial(_unlink, names), self.counts) or 0
        return gone

    def held(self) -> tuple[int, int]:
        """Entries of this thing and their bytes, envelopes included."""
        entries = size = 0
        for batch in self._scan():
            entries += len(batch)
            size += self._link.ask(partial(_lengths, [self._space + name for name in batch]), self.counts) or 0
        return entries, size

    def _scan(self) -> Iterator[list[str]]:
        """The names of this thing, in batches, until an error."""
        cursor: int | None = None
        while cursor != 0:
            answer = self._link.ask(partial(_scan, cursor or 0, f"{self._space}{self._prefix}:*"), self.counts)
            if answer is None:
                return
            cursor, stored = answer
            if stored:
                yield [name.decode(errors="replace")[len(self._space) :] for name in stored]

    def close(self) -> None:
        """The link belongs to whoever made it."""


def _values(answer: Any, count: int) -> list[bytes | None]:
    """What MGET answered; nothing where that is no answer to it."""
    good = isinstance(answer, list) and len(answer) == count and all(v is None or isinstance(v, bytes) for v in answer)
    return answer if good else [None] * count


def _scan(cursor: int, match: str, client: Any) -> tuple[int, list[bytes]]:
    found: tuple[int, list[bytes]] = client.scan(cursor, match, SCAN)
    return found


def _unlink(stored: Sequence[str], client: Any) -> int:
    return int(client.unlink(*stored))


def _lengths(stored: Sequence[str], client: Any) -> int:
    with client.pipeline(transaction=False) as pipeline:
        for name in stored:
            pipeline.strlen(name)
        return sum(pipeline.execute())
