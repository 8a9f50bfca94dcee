"""The caches of one process: opened from the settings, watched while it runs, kept when it ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pixelis.cache_config import Cached
from pixelis.settings import Settings
from python_backends.caching.cache import Cache
from python_backends.caching.codec import Codec
from python_backends.caching.disk_tier import DiskTier
from python_backends.caching.locks import Locks
from python_backends.caching.orders import Orders
from python_backends.caching.redis_link import RedisLink
from python_backends.caching.redis_tier import RedisTier
from python_backends.caching.report import CacheMetrics, Counters, write_stats
from python_backends.caching.snapshot import load, save
from python_backends.caching.tier import Tier

V = TypeVar("V")
log = logging.getLogger(__name__)

FOLDER = "caches"
TICK_S, WRITE_TICKS = 1.0, 5


class Caches:
    """Opens caches, and looks after them.

    Args:
        config: bounds and tiers; the state folder.
        owner: a name of this process that the next one has too: the model's instance.

    Raises:
        SetupError: a tier that is asked for lacks its package, or the URL of Redis is none.
    """

    def __init__(self, config: Settings, owner: str) -> None:
        self._config, self._owner = config, owner
        self._folder = config.state / FOLDER
        self._link: RedisLink | None = None
        if config.cache.enable_redis and config.cache.cache_size:
            self._link = RedisLink(config.cache.redis_url.get_secret_value(), config.cache.redis)
        self._open: list[Cache[Any]] = []
        self._told: list[Callable[[str | None], None]] = []
        self._kept: list[Cache[Any]] = []
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, name: str, codec: Codec[V], config: Cached, *, alone: bool = False) -> Cache[V]:
        """The cache of one thing.

        Args:
            name: of the thing, the prefix of its keys.
            codec: its values <-> bytes.
            config: its section of the settings; `cache_size` 0 switches every one off.
            alone: no other process, and not the next one either, can do anything with these values.
        """
        if not self._config.cache.cache_size:
            config = config.model_copy(update={"entries": 0})
        if alone:
            config = config.model_copy(update={"redis": False, "disk_bytes": 0})
        tiers: list[Tier] = []
        locks = None
        on = bool(config.entries and config.bytes)
        if on and config.redis and self._link is not None:
            tier = RedisTier(self._link, name, config.ttl_s)
            locks = Locks(self._link, tier.counts)
            tiers.append(tier)
        if on and config.disk_bytes:
            tiers.append(DiskTier(self._folder / "disk" / name, config.disk_bytes, config.ttl_s))
        made = Cache(name, codec, config, tiers, locks)
        self._open.append(made)
        if made.on and not alone and self._config.cache.snapshot:
            self._kept.append(made)
        return made

    def tell(self, forget: Callable[[str | None], None]) -> None:
        """Have orders to clear told to whoever remembers something beside the caches.

        Args:
            forget: takes the prefix of what is to be forgotten; none = anything.
        """
        self._told.append(forget)

    def start(self, counters: Counters | None, still: Callable[[str], bool]) -> None:
        """Warm the memory by what was there when the last process of this name ended, and begin to watch.

        Args:
            counters: where metrics go; none = nowhere.
            still: whether values of these versions are still asked for.
        """
        since = time.time_ns()
        for cache in self._kept:
            path = self._snapshot(cache)
            if path.exists():
                since = min(since, path.stat().st_mtime_ns)
                taken = load(cache.memory, path, time.time(), still)
                log.info("%s: %d entries of the cache of `%s` are warm", self._owner, taken, cache.name)
        orders = Orders(self._folder, since)
        self._obey(orders)
        metrics = CacheMetrics(counters) if counters is not None else None
        self._thread = threading.Thread(target=self._watch, args=(orders, metrics), name="caches", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Keep what is in memory, and let go of the tiers."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(TICK_S)
        for cache in self._kept if self._thread is not None else ():
            try:
                save(cache.memory, self._snapshot(cache), time.time())
            except OSError as error:
                log.warning("%s: the cache of `%s` is not kept: %s", self._owner, cache.name, error)
        for cache in self._open:
            cache.close()
        if self._link is not None:
            self._link.close()

    def _snapshot(self, cache: Cache[Any]) -> Path:
        return self._folder / "memory" / f"{self._owner}-{cache.name}.snapshot"

    def _obey(self, orders: Orders) -> None:
        for order in orders.new():
            for cache in self._open:
                cache.memory.clear(order.prefix, order.version)
            for forget in self._told:
                forget(order.prefix)

    def _watch(self, orders: Orders, metrics: CacheMetrics | None) -> None:
        ticks = 0
        while not self._ending.wait(TICK_S):
            try:
                self._obey(orders)
                if metrics is not None:
                    metrics.publish(self._open)
                if ticks % WRITE_TICKS == 0:
                    write_stats(self._folder, self._owner, self._open)
            except Exception as error:  # a full disk, a server that ends: the next tick may do better
                log.debug("%s: %s", self._owner, error)
            ticks += 1
