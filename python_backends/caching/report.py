"""What the caches of a process count, as metrics and as a file for operators."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from pixelis.draft import replace_text
from python_backends.caching.cache import Cache
from python_backends.caching.counts import BOUNDS, NAMES

FOLDER = "stats"
_LABELS = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")


class Counters(Protocol):
    """Where metrics go: `metrics.Metrics` inside Triton."""

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""


class CacheMetrics:
    """Publishes what has changed since the last time.

    A histogram travels as the counters that it consists of (`_bucket` with `le`, `_sum`, `_count`): Triton's own takes
    one value a message, and a look-up in memory costs less than that.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters, self._told = counters, dict[tuple[str, ...], float]()

    def publish(self, caches: Iterable[Cache[Any]]) -> None:
        """All tiers of all caches."""
        for cache in caches:
            self._tier(cache.name, cache.memory.label, cache.memory.counts.snapshot())
            for tier in cache.tiers:
                self._tier(cache.name, tier.label, tier.counts.snapshot())
            usage = cache.usage
            for name, value in (("computed", usage.computed), ("shared", usage.shared)):
                self._rise(f"pixelis_cache_{name}_total", value, cache=cache.name)
            entries, size, _ = cache.memory.held()
            for name, value in (("entries", entries), ("bytes", size)):
                self._set(f"pixelis_cache_{name}", value, cache=cache.name, tier="memory")

    def _tier(self, cache: str, tier: str, counts: dict[str, Any]) -> None:
        labels = {"cache": cache, "tier": tier}
        for name in NAMES:
            self._rise(f"pixelis_cache_{name}_total", counts[name], **labels)
        lookup = "pixelis_cache_lookup_seconds"
        for bound, below in zip(_LABELS, counts["buckets"], strict=True):
            self._rise(f"{lookup}_bucket", below, **labels, le=bound)
        self._rise(f"{lookup}_sum", counts["seconds"], **labels)
        self._rise(f"{lookup}_count", counts["lookups"], **labels)

    def _rise(self, name: str, value: float, **labels: str) -> None:
        key = (name, *labels.values())
        more = value - self._told.get(key, 0.0)
        if more > 0:
            self._counters.count(name, more, **labels)
            self._told[key] = value

    def _set(self, name: str, value: float, **labels: str) -> None:
        key = (name, *labels.values())
        if self._told.get(key) != value:
            self._counters.gauge(name, value, **labels)
            self._told[key] = value


def write_stats(folder: Path, owner: str, caches: Iterable[Cache[Any]]) -> None:
    """`stats/<owner>.json` with every cache's statistics and the moment; raises `OSError`."""
    found = {"at": time.time(), "caches": {cache.name: cache.stats() for cache in caches}}
    replace_text(folder / FOLDER / f"{owner}.json", json.dumps(found))
