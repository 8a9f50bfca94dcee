"""What a change costs the Redis of the log, and each follower that reads it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis as Client

from perf.cache.redis_process import RedisProcess
from perf.scale.cache_cost import ROUNDS, least_disturbed
from perf.scale.clients import entry
from perf.scale.crowd import crowd, settle, together
from perf.scale.log_commands import DURABLE, commands, disk, entry_bytes
from perf.scale.usage import Redis, machine_seconds
from pixelis.schema import Experience
from pixelis.settings import Replicas, Retrieval
from python_backends.experience import ExperienceStore

FOLLOWERS = (0, 1, 2, 4, 8)
HELD_BACK = 16
"""Followers whose cost is predicted from that of fewer, and then measured."""
WRITERS = (1, 2, 4)
RATE = 20.0
"""Changes a second while followers are counted."""


def log_cost(seconds: float, watch: Callable[[str], None], rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Rows: Redis' processor time of a change by followers, of followers that wait; writers; the disk; applying.

    Args:
        seconds: about how long each load lasts.
        watch: is told what happens.
        rounds: of writers.
    """
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="pixelis-scale-") as name:
        folder = Path(name)
        rows.append(disk(folder))
        for followers in (*FOLLOWERS, HELD_BACK):
            watch(f"log: {followers} followers")
            rows.append(_followed(folder / f"f{followers}", followers, seconds))
        tries = []
        for number in range(rounds):
            watch(f"log: writers, round {number + 1} of {rounds}")
            tries.append([_written(folder / f"w{writers}-{number}", writers, seconds / 2) for writers in WRITERS])
        rows += [least_disturbed(same) for same in zip(*tries, strict=True)]
        watch("log: commands")
        rows += commands(folder / "commands", seconds / 2)
        watch("log: catching up")
        rows.append(_caught_up(folder / "behind"))
        watch("log: applying")
        rows.append(_applied(folder / "applied", seconds))
    return rows


def _followed(folder: Path, followers: int, seconds: float) -> dict[str, Any]:
    folder.mkdir()
    with RedisProcess(folder, 512, DURABLE) as redis, Client(port=redis.port) as client, ExitStack() as stack:
        writer = stack.enter_context(crowd("append", redis.url, seconds, 1, folder, rate=RATE))
        lasting = 2 * seconds + 1
        readers = stack.enter_context(crowd("follow", redis.url, lasting, followers, folder))
        reading = readers.begin()
        settle()
        first = Redis.read(client)
        time.sleep(seconds)
        idle = Redis.read(client).since(first)
        first = Redis.read(client)
        ((said,),) = together(writer)
        used = Redis.read(client).since(first)
        seen = reading()
    changes = said["count"]
    quiet = idle.cpu_s / idle.at * used.at
    return {
        "row": "log",
        "measured": "followers",
        "at_once": followers,
        "changes": changes,
        "read": sum(one["count"] for one in seen),
        "redis_us": round(1e6 * (used.cpu_s - quiet) / changes, 1),
        "idle_us_per_s": round(1e6 * idle.cpu_s / idle.at, 1),
        "out_bytes": round(used.out_bytes / changes),
        "p50_ms": said["p50_ms"],
        "p99_ms": said["p99_ms"],
    }


def _written(folder: Path, writers: int, seconds: float) -> dict[str, Any]:
    folder.mkdir()
    with (
        RedisProcess(folder, 512, DURABLE) as redis,
        Client(port=redis.port) as client,
        crowd("append", redis.url, seconds, writers, folder) as ours,
    ):
        before, all_before = Redis.read(client), machine_seconds()
        (said,) = together(ours)
        used, all_used = Redis.read(client).since(before), machine_seconds() - all_before
    count, mine = sum(one["count"] for one in said), sum(one["cpu_s"] for one in said)
    return {
        "row": "log",
        "measured": "writers",
        "at_once": writers,
        "changes": count,
        "per_second": round(sum(one["count"] / one["seconds"] for one in said), 1),
        "redis_us": round(1e6 * used.cpu_s / count, 1),
        "client_us": round(1e6 * mine / count, 1),
        "others_cores": round(max(0.0, all_used - used.cpu_s - mine) / used.at, 2),
        "p50_ms": max(one["p50_ms"] for one in said),
        "p99_ms": max(one["p99_ms"] for one in said),
    }


def _caught_up(folder: Path) -> dict[str, Any]:
    """What each entry costs Redis where 500 are read together."""
    from python_backends.experience.replicas.stream import Stream

    folder.mkdir()
    with RedisProcess(folder, 512) as redis, Client(port=redis.port) as client:
        stream = Stream(Replicas.model_validate({"url": redis.url, "read_timeout_s": 5.0}))
        first = position = stream.first([]).position
        for number in range(2000):
            position = stream.append(entry(number), position)[-1].position
        before = Redis.read(client)
        position, count = first, 0
        while found := stream.after(position):
            position, count = found[-1].position, count + len(found)
        used = Redis.read(client).since(before)
        stream.close()
    return {
        "row": "log",
        "measured": "catching up",
        "changes": count,
        "bytes": entry_bytes(),
        "redis_us": round(1e6 * used.cpu_s / count, 2),
    }


def _applied(folder: Path, seconds: float) -> dict[str, Any]:
    """Processor time of a replica's store for each change that another one wrote."""
    folder.mkdir()
    with RedisProcess(folder, 512, DURABLE) as redis:
        shared = Replicas.model_validate({"url": redis.url, "read_timeout_s": 5.0})
        config = Retrieval(cold_start_threshold=0, replicas=shared)
        writer = ExperienceStore(folder / "store", config, None)
        try:
            with crowd("apply", redis.url, seconds + 1, 1, folder) as other:
                ended, start, number = other.begin(), time.monotonic(), 0
                while time.monotonic() < start + seconds:
                    writer.insert(_learned(number), _key(number))
                    number += 1
                    time.sleep(max(0.0, start + number / RATE - time.monotonic()))
                (said,) = ended()
        finally:
            writer.close()
    return {
        "row": "log",
        "measured": "applying",
        "changes": said["count"],
        "apply_ms": round(1e3 * said["cpu_s"] / max(said["count"], 1), 3),
    }


def _learned(number: int) -> Experience:
    text = f"What colour is the square with the label {number}?"
    return Experience(experience_id="", question=text, answer="red", confidence=0.9, created_at=time.time())


def _key(number: int) -> Any:
    key = np.random.default_rng(number).standard_normal(1664).astype(np.float32)
    return key / np.linalg.norm(key)
