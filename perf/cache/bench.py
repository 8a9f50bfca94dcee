"""All parts of `pixelis bench cache`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.cache.admission import admission
from perf.cache.latency import latency
from perf.cache.redis_process import RedisProcess
from perf.cache.repeats import repeats
from perf.cache.reward import reward
from perf.cache.served import served
from perf.cache.soak import soak
from perf.machine import machine, versions
from pixelis.schema import Claim, Measurement
from pixelis.settings import Settings

PARTS = ("latency", "zipf", "repeats", "reward", "served")
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        parts: among `PARTS`, or `soak`.
        redis: URL of a Redis for `latency`; none = one is started.
        seconds: of `soak`, with Redis.
        every_s: of `soak`, between two kills.
        concurrency: of `soak`, requests at once.
        quick: little work, to see that everything runs.
        command: what was typed.
    """

    parts: Sequence[str]
    redis: str | None
    seconds: float
    every_s: float
    concurrency: int
    quick: bool
    command: str


def measure(asked: Asked, config: Settings, watch: Watch) -> Measurement:
    """The measurement.

    Raises:
        SetupError: there is no Redis, or a package is missing.
        NotFound: `reward` or `served` is wanted and the models are not built.
    """
    rows: list[dict[str, Any]] = []
    claims: list[Claim] = []
    if "latency" in asked.parts:
        watch("latency")
        rows += _latency(asked)
    parts: dict[str, Callable[[], tuple[list[dict[str, Any]], list[Claim]]]] = {
        "zipf": lambda: admission(40_000 if asked.quick else 300_000),
        "repeats": lambda: repeats(2000 if asked.quick else 10_000),
        "reward": lambda: reward(config, 5 if asked.quick else 100),
        "served": lambda: served(config, 3 if asked.quick else 30, watch),
        "soak": lambda: soak(asked.seconds, asked.every_s, asked.concurrency, not sys.stderr.isatty()),
    }
    for name, part in parts.items():
        if name in asked.parts:
            watch(name)
            found, made = part()
            rows, claims = rows + found, claims + made
    made_with = versions()
    return Measurement(
        name="bench cache", command=asked.command, machine=machine(), versions=made_with, rows=rows, claims=claims
    )


def _latency(asked: Asked) -> list[dict[str, Any]]:
    rounds = 200 if asked.quick else 5000
    with tempfile.TemporaryDirectory(prefix="pixelis-cache-") as folder:
        if asked.redis is not None:
            return latency(asked.redis, Path(folder), rounds)
        with RedisProcess(Path(folder)) as redis:
            return latency(redis.url, Path(folder), rounds)
