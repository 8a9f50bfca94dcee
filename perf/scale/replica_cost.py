"""What one replica answers, and what it asks of what is shared: a real Triton, its gateway, and two real Redis.

Three phases: questions that nobody asked, the same again to a second replica (so that Redis has what memory has not),
and questions that are learned.
"""

from __future__ import annotations

import base64
import http.client
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from redis import Redis as Client

from builder.nano.questions import FAMILIES
from perf.cache.redis_process import RedisProcess
from perf.e2e.load import closed_loop
from perf.e2e.questions import Asked, Supply, unseen_seed
from perf.gateway.scene import Scene, scene
from perf.scale.log_commands import DURABLE, NAME
from perf.scale.usage import Redis, cpu_seconds
from pixelis.errors import ServingError, SetupError
from pixelis.schema import PipelineResult
from pixelis.settings import settings

AT_ONCE = 4
READS, WRITES, SCRIPTS = ("mget", "get"), ("set", "pexpire", "del", "unlink"), ("eval",)


def replica_cost(scenes: int, watch: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each phase.

    Args:
        scenes: new scenes of each phase, with a question of every family but the clips'.
        watch: is told what happens.

    Raises:
        NotFound: the models are not built.
    """
    families = [family for family in FAMILIES if family != "leaves"]
    supply = Supply(families, unseen_seed())
    with (
        tempfile.TemporaryDirectory(prefix="pixelis-scale-") as name,
        RedisProcess(_made(name, "cache"), 256) as cache,
        RedisProcess(_made(name, "log"), 256, DURABLE) as log,
        Client(port=cache.port) as cached,
        Client(port=log.port) as logged,
    ):
        changed = _changed(cache.url, log.url)
        warm, unique, learned = supply(1), supply(scenes), supply(max(1, scenes // 2))
        watch("replica: starting")
        with scene(1, 256, changed) as running:
            _ask(running, warm)
            watch("replica: questions that nobody asked")
            rows = [_phase("unique", running, unique, cached, logged)]
            watch("replica: questions that are learned")
            rows.append(_phase("learning", running, learned, cached, logged, read_only=False, k=5))
            rows[0] |= {"cache_connections": _connected(cached), "log_connections": _connected(logged)}
        watch("replica: a second one")
        with scene(1, 256, changed) as running:
            _ask(running, warm)
            rows.append(_phase("repeated", running, unique, cached, logged))
    return rows


def _made(folder: str, name: str) -> Path:
    made = Path(folder) / name
    made.mkdir()
    return made


def _changed(cache: str, log: str) -> dict[str, Any]:
    known = settings()
    shared = known.retrieval.replicas.model_copy(update={"url": SecretStr(log)})
    return {
        "cache": known.cache.model_copy(update={"enable_redis": True, "redis_url": SecretStr(cache)}),
        "retrieval": known.retrieval.model_copy(update={"replicas": shared}),
    }


def _phase(
    kind: str, running: Scene, asked: Sequence[Asked], cached: Any, logged: Any, **options: Any
) -> dict[str, Any]:
    before, log_before, entries = Redis.read(cached), Redis.read(logged), logged.xlen(NAME)
    gateway = cpu_seconds(running.pid)
    per_second = _ask(running, asked, **options)
    used, log_used = Redis.read(cached).since(before), Redis.read(logged).since(log_before)
    count = len(asked)

    def each(names: Sequence[str]) -> float:
        return round(sum(used.calls.get(name, 0) for name in names) / count, 3)

    return {
        "row": "replica",
        "questions": kind,
        "at_once": AT_ONCE,
        "count": count,
        "per_second": round(per_second, 3),
        "gateway_ms": round(1e3 * (cpu_seconds(running.pid) - gateway) / count, 3),
        "reads": each(READS),
        "writes": each(WRITES),
        "scripts": each(SCRIPTS),
        "redis_us": round(1e6 * used.cpu_s / count, 1),
        "log_entries": round((logged.xlen(NAME) - entries) / count, 3),
        "log_us": round(1e6 * log_used.cpu_s / count, 1),
    }


def _ask(running: Scene, asked: Sequence[Asked], **options: Any) -> float:
    """Answers a second, through the gateway."""

    def one(question: Asked) -> PipelineResult:
        picture = base64.b64encode(question.images[0]).decode()
        said = {"image": picture, "question": question.question.text, "timeout_s": 60, **options}
        return _posted(running.gateway, json.dumps(said).encode())

    block = closed_loop(one, asked, AT_ONCE)
    failed = [one.error for one in block.answered if one.error]
    if failed:
        raise SetupError(f"{len(failed)} of {len(asked)} questions failed: {failed[0]}.")
    return block.throughput


def _posted(url: str, body: bytes) -> PipelineResult:
    connection = http.client.HTTPConnection(url, timeout=90)
    try:
        connection.request("POST", "/infer", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise ServingError(f"The gateway answered with {answer.status}: {said[:200]!r}.")
    return PipelineResult.model_validate_json(said)


def _connected(client: Any) -> int:
    """Connections, but for this one."""
    return int(client.info("clients")["connected_clients"]) - 1
