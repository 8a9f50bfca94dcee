"""A sweep over levels of load.

Latencies come from the time stamps of every single request (`--profile-export-file`), not from windows of
perf_analyzer; with `--request-count` the throughput that it prints is over a fixed window and too low, so it is counted
over first request to last response. Whether a level had settled is judged by windows of our own.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from perf.perf_analyzer import PerfAnalyzer
from perf.sweep.load import Load
from perf.sweep.stamps import stamps
from perf.sweep.windows import figures

ATTEMPTS = 3
"""At a level, until it settles; the last one is told as it is."""


def sweep(
    tool: PerfAnalyzer,
    load: Load,
    data: dict[str, Any] | Path,
    levels: Sequence[float],
    done: Callable[[], None],
    attempts: int = ATTEMPTS,
) -> list[dict[str, Any]]:
    """One row a level, in order; `done` is called after each.

    Args:
        tool: perf_analyzer.
        load: what it sends.
        data: its requests.
        levels: workers, or requests a second.
        done: called after each level.
        attempts: how often a level is measured, at most, until it settles.

    Raises:
        Unavailable: no server at the URL.
        ServingError: requests failed.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="pixelis-sweep-") as folder:
        path = data if isinstance(data, Path) else Path(folder) / "requests.json"
        if not isinstance(data, Path):
            path.write_text(json.dumps(data))
        for level in levels:
            rows.append(_settled(tool, load, path, level, Path(folder), attempts))
            done()
    return rows


def _settled(tool: PerfAnalyzer, load: Load, data: Path, level: float, folder: Path, attempts: int) -> dict[str, Any]:
    """A level's row, measured again while it had not settled."""
    for attempt in range(1, attempts):
        row = _measure(tool, load, data, level, folder)
        if row["stable"] is not False:
            return {**row, "attempts": attempt}
    return {**_measure(tool, load, data, level, folder), "attempts": attempts}


def _measure(tool: PerfAnalyzer, load: Load, data: Path, level: float, folder: Path) -> dict[str, Any]:
    table, export = folder / f"{level:g}.csv", folder / f"{level:g}.json"
    written = ["--input-data", str(data), "-f", str(table), "--profile-export-file", str(export)]
    report = tool.run([*load.arguments(level), *written], load.timeout_s)
    sent, answered = stamps(export)
    export.unlink()  # it repeats every request's inputs, so it is large
    row: dict[str, Any] = {"model": load.model, "protocol": load.protocol, "arrivals": load.arrivals}
    row |= {"concurrency": int(level)} if load.arrivals == "closed" else {"sent_per_s": level}
    warm = load.warm(level)
    return {**row, **figures(sent[warm:], answered[warm:]), **_server(table, report)}


def _server(table: Path, report: str) -> dict[str, Any]:
    """What the server's own statistics say of the same requests (averages over all of them)."""
    with table.open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    compute = sum(float(row[f"Server Compute {part}"]) for part in ("Input", "Infer", "Output"))
    counts = [re.search(rf"{name} count: (\d+)", report) for name in ("Inference", "Execution")]
    found = {
        "server_queue_ms": round(float(row["Server Queue"]) / 1e3, 3),
        "server_compute_ms": round(compute / 1e3, 3),
    }
    if counts[0] and counts[1] and int(counts[1][1]):
        found["mean_batch"] = round(int(counts[0][1]) / int(counts[1][1]), 2)
    return found
