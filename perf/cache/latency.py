"""What a look-up costs in each tier, when it hits and when it misses."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from perf.cache.traffic import outcome
from pixelis.cache_config import Cached, RedisTier
from python_backends.caching import Cache, Key
from python_backends.caching.codec import Codec, FloatsCodec
from python_backends.caching.disk_tier import DiskTier
from python_backends.caching.redis_link import RedisLink
from python_backends.caching.redis_tier import RedisTier as Redis
from python_backends.caching.tier import Tier
from python_backends.pipeline.request_cache import CODEC

MIB = 2**20
WARM = 50


def latency(url: str, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """A row for each tier and kind of value: microseconds of hits and misses, decoding included.

    Args:
        url: of a Redis.
        folder: for the tier on disk.
        rounds: look-ups of each kind.
    """
    rows = []
    kinds: tuple[tuple[str, Codec[Any], Any], ...] = (
        ("embedding", FloatsCodec(), np.arange(1280, dtype=np.float32)),
        ("outcome", CODEC, outcome(1)),
    )
    for kind, codec, value in kinds:
        size = len(codec.encode(value))
        rows.append({"row": "latency", "tier": "memory", "value": kind, "bytes": size, **_memory(codec, value, rounds)})
        for name, tier in _below(url, folder / kind):
            timed = _tier(tier, codec, value, rounds)
            rows.append({"row": "latency", "tier": name, "value": kind, "bytes": size, **timed})
            tier.close()
    return rows


def _below(url: str, folder: Path) -> list[tuple[str, Tier]]:
    return [
        ("redis", Redis(RedisLink(url, RedisTier()), "bench", None)),
        ("disk", DiskTier(folder, 64 * MIB, None)),
    ]


def _memory(codec: Codec[Any], value: Any, rounds: int) -> dict[str, float]:
    cache: Cache[Any] = Cache("bench", codec, Cached())
    for number in range(64):
        cache.put(_key(number), value)
    hits = _timed(lambda i: cache.get(_key(i % 64)), rounds)
    return _row(hits, _timed(lambda i: cache.get(_key(10**6 + i)), rounds))


def _tier(tier: Tier, codec: Codec[Any], value: Any, rounds: int) -> dict[str, float]:
    """With memory above it that is empty each time, as a value that is found there is asked for there once."""
    tier.put_many({_key(number).name: codec.encode(value) for number in range(64)})

    def hit(number: int) -> None:
        if Cache("bench", codec, Cached(), [tier]).get(_key(number % 64)) is None:
            raise AssertionError("a value that was put is not there")

    cache: Cache[Any] = Cache("bench", codec, Cached(), [tier])
    hits = _timed(hit, rounds)
    return _row(hits, _timed(lambda i: cache.get(_key(10**6 + i)), rounds))


def _key(number: int) -> Key:
    return Key.of("bench", {}, number=number)


def _timed(work: Callable[[int], object], rounds: int) -> np.ndarray[Any, Any]:
    """Microseconds of each round."""
    times = np.empty(rounds + WARM)
    for i in range(len(times)):
        started = time.perf_counter()
        work(i)
        times[i] = time.perf_counter() - started
    return times[WARM:] * 1e6


def _row(hits: np.ndarray[Any, Any], misses: np.ndarray[Any, Any]) -> dict[str, float]:
    parts = (("hit", hits), ("miss", misses))
    return {f"{name}_p{p}_us": round(float(np.percentile(times, p)), 1) for name, times in parts for p in (50, 99)}
