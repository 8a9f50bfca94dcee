"""Each optimisation switched on alone, on a server that has none of the others; then all of them.

Every server takes turns with the plain pipeline on the same questions, so that what the machine does meanwhile is
in neither ratio.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from perf.e2e.load import Block, closed_loop
from perf.e2e.questions import Asked
from perf.e2e.sides import Plain, Served
from perf.repositories import batching
from perf.sides import Side, serve
from pixelis.errors import ServingError
from pixelis.operations_config import Operations

OFF: dict[str, dict[str, Any]] = {
    "caches": {"cache": {"cache_size": 0}},
    "batching": {"decoding": {"slots": 1}},
    "prefixes": {"decoding": {"prefix_bytes": 0}},
    "drafts": {"decoding": {"speculation": False}},
    "states ahead": {"retrieval": {"embed_ahead": False}},
    "ladders": {"operations": Operations.full().model_dump()},
}
"""Settings of a server without one of them. Without batching the models' configurations differ too."""
NONE, ALL = "none", "all"
WAITS_MS = (5.0, 50.0)
"""That a batch waits for company at every model, beside none as it is served."""


@dataclass(frozen=True)
class Server:
    """One to be measured.

    Attributes:
        name: what is switched on.
        changes: settings that differ from those in force.
        forms: whether the models are in the forms that are measured, or in their default ones.
        most: requests of a batch, at most; none = as configured.
        wait_ms: that a batch waits for company; none = as configured.
    """

    name: str
    changes: dict[str, Any]
    forms: bool = False
    most: int | None = None
    wait_ms: float | None = None


def servers(*, forms: bool) -> list[Server]:
    """None, each alone, batching with longer waits, and all; `forms`: other forms of models are one of them."""
    alone = [Server(name, merged(set(OFF) - {name}), most=None if name == "batching" else 1) for name in OFF]
    if forms:
        alone.append(Server("forms", merged(OFF), True, 1))
    batched = merged(set(OFF) - {"batching"})
    waiting = [Server(f"batching, waiting {wait:g} ms", batched, wait_ms=wait) for wait in WAITS_MS]
    return [Server(NONE, merged(OFF), most=1), *alone, *waiting, Server(ALL, {}, forms)]


def merged(off: Iterable[str]) -> dict[str, Any]:
    """The settings of a server without all of `off`."""
    changes: dict[str, Any] = {}
    for name in OFF:
        if name in off:
            for section, fields in OFF[name].items():
                changes[section] = {**changes.get(section, {}), **fields}
    return changes


def _place(server: Server, repository: Path, stack: ExitStack) -> str:
    if server.most is None and server.wait_ms is None:
        return str(repository)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pixelis-alone-")))
    return str(batching(repository, folder / "repository", server.most, server.wait_ms))


def measured(
    plain: Plain,
    server: Server,
    repository: Path,
    levels: Sequence[int],
    rounds: int,
    ask: Callable[[int], list[Asked]],
) -> list[dict[str, Any]]:
    """A row a level: what the server takes, and does, beside the plain pipeline in turns.

    Raises:
        PixelisError: it does not start, or answers nothing.
    """
    with ExitStack() as stack:
        served = serve(stack, Side("alone", _place(server, repository, stack), server.changes), quiet=True)
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
