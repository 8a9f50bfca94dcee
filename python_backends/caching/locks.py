"""One computation of a value at a time among replicas: locks in Redis, with an owner and an end.

A lock ends by itself `lock_s` after its owner has died; while he computes, a thread of his keeps it. Where Redis is not
reached there are no locks: everybody computes for himself, which costs time and nothing else.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from python_backends.caching.counts import TierCounts
from python_backends.caching.redis_link import RedisLink

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_KEEP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"


class Locks:
    """Locks of this process.

    Args:
        link: to Redis.
        counts: where failures are counted.
    """

    def __init__(self, link: RedisLink, counts: TierCounts) -> None:
        self._link, self._counts = link, counts
        self._token = secrets.token_hex(16)
        self._space = f"{link.config.namespace}:lock:"
        self._ms = int(1000 * link.config.lock_s)
        self._lock, self._held = threading.Lock(), set[str]()
        self._work = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, names: Sequence[str]) -> list[str]:
        """Those that are this process's to compute: all of them where Redis is not reached."""

        def ask(client: Any) -> list[Any]:
            with client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.set(self._space + name, self._token, nx=True, px=self._ms)
                return list(pipeline.execute())

        answer = self._link.ask(ask, self._counts)
        if answer is None:
            return list(names)
        taken = [name for name, won in zip(names, answer, strict=True) if won]
        with self._lock:
            self._held.update(taken)
            if self._held and self._thread is None:
                self._thread = threading.Thread(target=self._keep, name="cache-locks", daemon=True)
                self._thread.start()
        self._work.set()
        return taken

    def release(self, names: Iterable[str]) -> None:
        """Give back what is held of these; another one's lock stays."""
        with self._lock:
            mine = [name for name in names if name in self._held]
            self._held.difference_update(mine)
        if mine:
            self._each(_RELEASE, mine)

    def _keep(self) -> None:
        """As long as there is something to keep, keep it."""
        while True:
            self._work.wait()
            with self._lock:
                names = sorted(self._held)
                if not names:
                    self._work.clear()
            if names:
                self._each(_KEEP, names, self._ms)
            time.sleep(self._ms / 3000)

    def _each(self, script: str, names: Sequence[str], *arguments: int) -> None:
        def ask(client: Any) -> None:
            with client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.eval(script, 1, self._space + name, self._token, *arguments)
                pipeline.execute()

        self._link.ask(ask, self._counts)
