"""A Redis that is kept busy by redis-benchmark: what a command costs it then."""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from perf.scale.usage import Redis
from pixelis.errors import SetupError

SATURATING = 64
"""Clients that keep a Redis busy."""
_A_SECOND = 30_000
"""Commands that are sent for each second that a load is to last; one client alone gets fewer."""


def driven(
    client: Any, port: int, words: Sequence[str | bytes], at_once: int, seconds: float, each: float = 1.0
) -> dict[str, Any]:
    """A command, sent by so many clients, each again as soon as it is answered.

    Args:
        client: of the Redis, to read what it has used.
        port: its port.
        words: of the command.
        at_once: clients.
        seconds: about how long it lasts.
        each: how much heavier than most it is.

    Raises:
        SetupError: there is no redis-benchmark.
    """
    if shutil.which("redis-benchmark") is None:
        raise SetupError("There is no redis-benchmark.", mend="apt-get install redis-tools")
    count = max(500, int(seconds * (_A_SECOND / 5 if at_once == 1 else _A_SECOND) / each))
    line = ["redis-benchmark", "-p", str(port), "-n", str(count), "-c", str(at_once), "-r", "1000", "--csv", *words]
    before = Redis.read(client)
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    used = Redis.read(client).since(before)
    said = next(csv.DictReader(done.stdout.splitlines()))
    return {
        "client": "redis-benchmark",
        "at_once": at_once,
        "per_second": round(float(said["rps"])),
        "p50_ms": float(said["p50_latency_ms"]),
        "p99_ms": float(said["p99_latency_ms"]),
        "redis_us": round(1e6 * used.cpu_s / count, 2),
        "out_bytes": round(used.out_bytes / count),
    }
