"""Each optimisation switched on alone, on a server that has none of the others; then all of them.

Every server takes turns with the plain pipeline on the same questions, so that what the machine does meanwhile is
in neither ratio.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from perf.compare.sides import HERE, Side, serve
from perf.e2e.load import Block, closed_loop
from perf.e2e.questions import Asked
from perf.e2e.sides import Plain, Served
from pixelis.errors import ServingError
from pixelis.operations_config import FULL, Operations

_FULL = FULL.model_dump()
OFF: dict[str, dict[str, Any]] = {
    "caches": {"cache": {"cache_size": 0}},
    "batching": {"batching": {"max_batch_size": 1}, "decoding": {"slots": 1}},
    "prefixes": {"decoding": {"prefix_bytes": 0}},
    "drafts": {"decoding": {"speculation": False}},
    "ladders": {"operations": dict.fromkeys(Operations.model_fields, _FULL)},
}
"""Settings of a server without one of them."""
NONE, ALL = "none", "all"
LATE = 50.0
"""Milliseconds that a batch may wait for company where nothing else is said."""


@dataclass(frozen=True)
class Server:
    """One to be measured.

    Attributes:
        name: what is switched on.
        changes: settings that differ from those in force.
    """

    name: str
    changes: dict[str, Any]


def servers(waits_ms: Sequence[float] = (0.0, LATE)) -> list[Server]:
    """None, each alone, batching with other waits, and all."""
    made = [Server(NONE, merged(OFF)), *(Server(name, merged(set(OFF) - {name})) for name in OFF)]
    for wait in waits_ms:
        changes = merged(set(OFF) - {"batching"})
        changes["batching"] = {**changes.get("batching", {}), "max_wait_time_ms": wait}
        made.append(Server(f"batching, waiting {wait:g} ms", changes))
    return [*made, Server(ALL, {})]


def merged(off: Iterable[str]) -> dict[str, Any]:
    """The settings of a server without all of `off`."""
    changes: dict[str, Any] = {}
    for name in OFF:
        if name in off:
            for section, fields in OFF[name].items():
                changes[section] = {**changes.get(section, {}), **fields}
    return changes


def repository(changes: dict[str, Any], folder: Path) -> str:
    """Where models with this batching are: in `folder`, written from the build cache, unless it is as configured.

    Raises:
        ServingError: they cannot be built.
    """
    batching = changes.get("batching", {})
    if not batching:
        return HERE
    to = folder / "-".join(f"{name}={value:g}" for name, value in sorted(batching.items()))
    if not to.exists():
        said = {f"PIXELIS_BATCHING__{name.upper()}": f"{value:g}" for name, value in batching.items()}
        command = [sys.executable, "-m", "pixelis", "build", "--repository", str(to)]
        done = subprocess.run(command, env={**os.environ, **said}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServingError(
                f"A repository with {batching} cannot be built: {done.stderr.strip()[-300:]}",
                mend="See `pixelis build`.",
            )
    return str(to)


def measured(
    plain: Plain, server: Server, folder: Path, levels: Sequence[int], rounds: int, ask: Callable[[int], list[Asked]]
) -> list[dict[str, Any]]:
    """A row a level: what the server takes, and does, beside the plain pipeline in turns.

    Raises:
        PixelisError: it does not start, or answers nothing.
    """
    with ExitStack() as stack:
        served = serve(stack, Side("alone", repository(server.changes, folder), server.changes), quiet=True)
        closed_loop(served.ask, ask(max(levels)), max(levels))
        rows = []
        for level in levels:
            pairs = [_pair(plain, served, ask(level), level) for _ in range(rounds)]
            rows.append(_row(server.name, level, pairs))
    return rows


def _pair(plain: Plain, served: Served, asked: list[Asked], level: int) -> tuple[Block, Block]:
    one, other = closed_loop(plain.ask, asked, level), closed_loop(served.ask, asked, level)
    if not one.latencies or not other.latencies:
        raise ServingError("A side answered nothing.", mend="Its log says more.")
    return one, other


def _row(name: str, level: int, pairs: Sequence[tuple[Block, Block]]) -> dict[str, Any]:
    latency = [median(served.latencies) / median(plain.latencies) for plain, served in pairs]
    rate = [served.throughput / plain.throughput for plain, served in pairs]
    return {
        "row": "alone",
        "on": name,
        "concurrency": level,
        "p50_ms": round(median(ms for _, served in pairs for ms in served.latencies), 1),
        "latency_ratio": round(median(latency), 3),
        "latency_ratio_rounds": [round(min(latency), 3), round(max(latency), 3)],
        "throughput_ratio": round(median(rate), 2),
        "throughput_ratio_rounds": [round(min(rate), 2), round(max(rate), 2)],
    }
