"""The log's commands one by one, on a Redis that is kept busy with each; and the disk below it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis as Client

from perf.cache.redis_process import RedisProcess
from perf.scale.clients import entry
from perf.scale.driven import SATURATING, driven
from python_backends.experience.replicas.wire import encode

DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
"""As the log's Redis must be set."""
NAME = "pixelis:experiences"
_HEAVY = 3.0
"""How much heavier than most commands these are: an entry is 7 KB."""


def disk(folder: Path) -> dict[str, Any]:
    """An append of an entry's size and `fsync`, as Redis does it."""
    data, times = bytes(entry_bytes()), []
    with (folder / "fsync").open("wb") as file:
        for _ in range(300):
            started = time.perf_counter()
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    spread = {f"p{p}_ms": round(1e3 * float(np.percentile(times, p)), 4) for p in (50, 99)}
    return {"row": "log", "measured": "fsync", "bytes": len(data), **spread}


def entry_bytes() -> int:
    """Of an entry as it goes over the wire."""
    return sum(len(name) + len(value) for name, value in encode(entry(1)).items())


def commands(folder: Path, seconds: float) -> list[dict[str, Any]]:
    """What followers and writers send; one entry is new to a follower."""
    folder.mkdir()
    with RedisProcess(folder, 2048, DURABLE) as redis, Client(port=redis.port) as client:
        fields: Any = {name.decode(): "x" * len(value) for name, value in encode(entry(1)).items()}
        old, new = (client.xadd(NAME, fields).decode() for _ in range(2))
        asked: dict[str, tuple[str, ...]] = {
            "told": ("XREAD", "COUNT", "1", "STREAMS", NAME, old),
            "what is new": ("XRANGE", NAME, f"({old}", "+", "COUNT", "500"),
            "nothing is new": ("XRANGE", NAME, f"({new}", "+", "COUNT", "500"),
            "still there": ("XRANGE", NAME, old, old),
            "append": ("XADD", f"{NAME}:other", "*", *(word for pair in fields.items() for word in pair)),
        }
        rows = []
        for name, words in asked.items():
            done = driven(client, redis.port, words, SATURATING, seconds, _HEAVY)
            rows.append({"row": "log", "measured": "commands", "command": name, **done})
        return rows
