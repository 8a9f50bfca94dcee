"""Mixed load on a real server while its Redis is killed and started again, beside the same load without Redis."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from clients.client import PixelisClient
from perf.cache.mix import Mix
from perf.cache.redis_process import RedisProcess
from perf.e2e.load import Answered, closed_loop
from perf.environment import environment
from perf.meanwhile import meanwhile
from perf.ports import free_ports
from perf.progress import bar, started
from pixelis.schema import Claim
from pixelis.settings import Settings, settings

BLOCK = 50
"""Requests between two looks at the clock."""
DOWN_S = 5.0
"""Of the time between two kills, how long Redis is away."""
SLOWER = 2.0
"""p99 may be so many times that without Redis."""


def soak(seconds: float, every_s: float, concurrency: int, quiet: bool) -> tuple[list[dict[str, Any]], list[Claim]]:
    """A row for each phase, and the claims.

    Args:
        seconds: of the load with Redis; the one without lasts half as long before it and half as long after it, so that
            a machine that gets busier is busier for both.
        every_s: between two kills.
        concurrency: requests at once.
        quiet: without progress.
    """
    with tempfile.TemporaryDirectory(prefix="pixelis-soak-") as folder:
        state = Path(folder)
        before = _phase(_config(state / "before"), None, seconds / 2, concurrency, quiet)
        kills: list[float] = []
        with RedisProcess(state) as redis:
            config = _config(state / "within")
            within = _phase(config, redis.url, seconds, concurrency, quiet, lambda: _killed(redis, every_s, kills))
        after = _phase(_config(state / "after"), None, seconds / 2, concurrency, quiet)
    without = before + after
    rows = [{"row": "soak", "redis": "none", **_row(without)}]
    rows.append({"row": "soak", "redis": "killed", "kills": len(kills), **_row(within)})
    return rows, _claims(without, within, kills, every_s)


def _claims(without: list[Answered], within: list[Answered], kills: list[float], every_s: float) -> list[Claim]:
    failed = sum(one.result is None for one in within)
    ratio = _p99(within) / _p99(without)
    mixed = f"mixed load, Redis killed {len(kills)} times, every {every_s:g} s"
    return [
        Claim(claim=f"{mixed}: failed requests of {len(within)}", target=0, measured=failed, unit="requests",
              met=failed == 0 and bool(kills)),
        Claim(claim=f"{mixed}: p99 beside no Redis", target=SLOWER, measured=round(ratio, 3), unit="ratio",
              met=ratio <= SLOWER),
    ]  # fmt: skip


def _config(state: Path) -> Settings:
    server = free_ports().model_copy(update={"watchdog": False})
    return settings().model_copy(update={"state": state, "server": server})


def _redis(url: str | None) -> AbstractContextManager[None]:
    """A server that is started within has that Redis, or none."""
    on = url is not None
    return environment({"PIXELIS_CACHE__ENABLE_REDIS": str(on).lower(), "PIXELIS_CACHE__REDIS_URL": url or ""})


def _phase(
    config: Settings,
    redis: str | None,
    seconds: float,
    concurrency: int,
    quiet: bool,
    during: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> list[Answered]:
    """Everything that was asked of a server of its own. Every phase asks the same, as far as it comes."""
    answered: list[Answered] = []
    mix = Mix(seed=0)
    with (
        _redis(redis),
        started(quiet=quiet, config=config) as triton,
        PixelisClient(triton.grpc_url, "grpc") as client,
        bar("soak", int(seconds), quiet=quiet) as second,
        during(),
    ):
        begun, shown = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            answered += closed_loop(
                lambda a: client.ask(a.images, a.question.text, a.options), mix(BLOCK), concurrency
            ).answered
            while shown < min(seconds, time.monotonic() - begun) - 1:
                second()
                shown += 1
    return answered


@contextmanager
def _killed(redis: RedisProcess, every_s: float, kills: list[float]) -> Iterator[None]:
    """Kill it every `every_s` seconds, and start it again, empty, `DOWN_S` later; each kill is added to `kills`."""

    def run(over: threading.Event) -> None:
        while not over.wait(every_s - DOWN_S):
            redis.kill()
            kills.append(time.monotonic())
            over.wait(DOWN_S)
            redis.start()

    with meanwhile(run, name="kills"):
        yield


def _p99(answered: list[Answered]) -> float:
    return float(np.percentile([one.ms for one in answered], 99))


def _row(answered: list[Answered]) -> dict[str, Any]:
    good = [one.result for one in answered if one.result is not None]
    errors = sorted({one.error for one in answered if one.error})
    row = {
        "requests": len(answered),
        "failed": len(answered) - len(good),
        "from_cache": sum(one.from_cache for one in good),
        "p50_ms": round(float(np.percentile([one.ms for one in answered], 50)), 2),
        "p99_ms": round(_p99(answered), 2),
        "max_ms": round(max(one.ms for one in answered), 2),
    }
    return {**row, "errors": errors[:3]} if errors else row
