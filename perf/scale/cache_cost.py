"""What a command costs the Redis of the caches, and how it goes with more and more clients."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis as Client

from perf.cache.redis_process import RedisProcess
from perf.cache.traffic import outcome
from perf.scale.crowd import crowd, together
from perf.scale.driven import SATURATING, driven
from perf.scale.usage import Redis, machine_seconds
from python_backends.caching.envelope import wrap
from python_backends.pipeline.request_cache import CODEC

AT_ONCE = (1, 8, 64, 512)
CLIENTS = (1, 2, 3)
ROUNDS = 5
"""Of which the one counts that other work on the machine disturbed least."""
SCRIPT = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
"""As `python_backends.caching.locks` lets a lock go."""


def cache_cost(seconds: float, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Rows: microseconds of Redis' own processor time for each kind of command, and throughput by clients.

    Args:
        seconds: about how long each load lasts.
        rounds: of our own clients.

    Raises:
        SetupError: there is no redis-server or no redis-benchmark.
    """
    value = wrap("scale:x", CODEC.encode(outcome(1)), 0.0)
    commands: dict[str, tuple[str, ...]] = {
        "read": ("MGET", "pixelis:scale:x"),
        "write": ("SET", "pixelis:scale:__rand_int__", value.hex(), "PX", "86400000"),
        "lock": ("SET", "pixelis:lock:__rand_int__", "0" * 32, "NX", "PX", "2000"),
        "script": ("EVAL", SCRIPT, "1", "pixelis:lock:x", "0" * 32),
    }
    rows: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="pixelis-scale-") as folder,
        RedisProcess(Path(folder), 256) as redis,
        Client(port=redis.port) as client,
    ):
        client.set("pixelis:scale:x", value)
        for kind, words in commands.items():
            for at_once in AT_ONCE if kind in ("read", "write") else (SATURATING,):
                made = driven(client, redis.port, words, at_once, seconds)
                rows.append({"row": "cache", "command": kind, "bytes": len(value), **made})
        own = partial(_own, client, redis, seconds=seconds / 2, size=len(value), folder=Path(folder))
        tries = [[own(count) for count in CLIENTS] for _ in range(rounds)]
        rows += [least_disturbed(same) for same in zip(*tries, strict=True)]
    return rows


def _own(client: Any, redis: RedisProcess, count: int, seconds: float, size: int, folder: Path) -> dict[str, Any]:
    """By processes of ours, as a replica's caches ask: nine looks and a value kept."""
    with crowd("cache", redis.url, seconds, count, folder, bytes=size) as ours:
        before, all_before = Redis.read(client), machine_seconds()
        (said,) = together(ours)
        used, all_used = Redis.read(client).since(before), machine_seconds() - all_before
    total, mine = sum(one["count"] for one in said), sum(one["cpu_s"] for one in said)
    return {
        "row": "cache",
        "command": "nine reads, a write",
        "client": "our caches",
        "at_once": count,
        "bytes": size,
        "per_second": round(sum(one["count"] / one["seconds"] for one in said)),
        "p50_ms": max(one["p50_ms"] for one in said),
        "p99_ms": max(one["p99_ms"] for one in said),
        "redis_us": round(1e6 * used.cpu_s / total, 2),
        "client_us": round(1e6 * mine / total, 2),
        "others_cores": round(max(0.0, all_used - used.cpu_s - mine) / used.at, 2),
    }


def least_disturbed(tries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The one with most answers a second, and the fewest of any beside it."""
    best = max(tries, key=lambda row: float(row["per_second"]))
    return {**best, "rounds": len(tries), "least": min(row["per_second"] for row in tries)}
