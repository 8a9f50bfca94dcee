"""Latency and throughput of one model over concurrency, measured by the real `perf_analyzer`.

Closed loop: each of `concurrency` workers sends its next request when the last one is answered. Latencies come from the
time stamps of every single request (`--profile-export-file`), not from windows; with `--request-count` the throughput
that perf_analyzer prints is over a fixed window and too low, so it is counted over first request to last response.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from perf.perf_analyzer import PerfAnalyzer
from pixelis.errors import ServingError

_STAMPS = re.compile(rb'"timestamp":(\d+)|"response_timestamps":\[(?:\d+,)*(\d+)\]')
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Load:
    """What to send where.

    Attributes:
        model: its name.
        protocol: of the inference requests.
        url: `host:port`.
        requests: to measure at each concurrency; as many more as there are workers are sent first and not counted,
            because a worker's first request opens its connection.
        timeout_s: for one concurrency.
    """

    model: str
    protocol: Literal["grpc", "http"]
    url: str
    requests: int
    timeout_s: float = 900.0


def sweep(
    tool: PerfAnalyzer, load: Load, data: dict[str, Any] | Path, levels: list[int], done: Callable[[], None]
) -> list[dict[str, Any]]:
    """One row a concurrency, in order; `done` is called after each.

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
            rows.append(_measure(tool, load, path, level, Path(folder)))
            done()
    return rows


def _measure(tool: PerfAnalyzer, load: Load, data: Path, level: int, folder: Path) -> dict[str, Any]:
    table, export = folder / f"{level}.csv", folder / f"{level}.json"
    report = tool.run(
        [
            *("-m", load.model, "-i", load.protocol, "-u", load.url, "--input-data", str(data)),
            *("--concurrency-range", f"{level}:{level}:1", "--request-count", str(load.requests + level)),
            *("-f", str(table), "--profile-export-file", str(export)),
        ],
        load.timeout_s,
    )
    sent, answered = stamps(export)
    export.unlink()  # it repeats every request's inputs, so it is large
    row = {"model": load.model, "protocol": load.protocol, "concurrency": level}
    return {**row, **_latencies(sent, answered, level), **_server(table, report)}


def stamps(export: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Send and last-response time of every request, in nanoseconds, in the order sent.

    The export holds the raw inputs, so it is neither small nor always valid JSON: only the stamps are taken out. Inside
    a JSON string a quote is escaped, so an input cannot look like one.
    """
    sent: list[int] = []
    answered: list[int] = []
    for begin, end in _matches(export):
        if begin:
            sent.append(int(begin))
        else:
            answered.append(int(end))
    if not answered or len(sent) != len(answered):
        raise ServingError(f"perf_analyzer exported {len(sent)} requests and {len(answered)} responses.")
    order = np.argsort(np.array(sent))
    return np.array(sent)[order], np.array(answered)[order]


def _matches(export: Path) -> Iterator[tuple[bytes, bytes]]:
    rest = b""
    with export.open("rb") as file:
        while block := file.read(_BLOCK):
            text, last = rest + block, 0
            # A stamp that touches the end of the block may go on in the next one.
            for found in _STAMPS.finditer(text, 0, len(text)):
                if found.end() == len(text):
                    break
                yield found.groups(default=b"")  # type: ignore[misc]
                last = found.end()
            rest = text[max(last, len(text) - 512) :]


def _latencies(sent: np.ndarray[Any, Any], answered: np.ndarray[Any, Any], warm_up: int) -> dict[str, Any]:
    sent, answered = sent[warm_up:], answered[warm_up:]
    took = (answered - sent) / 1e6
    figures: dict[str, Any] = {
        "requests": len(took),
        "throughput_per_s": round(len(took) / ((answered.max() - sent.min()) / 1e9), 2),
        "mean_ms": round(float(took.mean()), 3),
        "std_ms": round(float(took.std()), 3),
    }
    for q in (50, 90, 95, 99):
        figures[f"p{q}_ms"] = round(float(np.percentile(took, q)), 3)
    return figures


def _server(table: Path, report: str) -> dict[str, Any]:
    """What the server's own statistics say of the same requests (averages over all of them)."""
    with table.open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    compute = sum(float(row[f"Server Compute {part}"]) for part in ("Input", "Infer", "Output"))
    counts = [re.search(rf"{name} count: (\d+)", report) for name in ("Inference", "Execution")]
    figures = {
        "server_queue_ms": round(float(row["Server Queue"]) / 1e3, 3),
        "server_compute_ms": round(compute / 1e3, 3),
    }
    if counts[0] and counts[1] and int(counts[1][1]):
        figures["mean_batch"] = round(int(counts[0][1]) / int(counts[1][1]), 2)
    return figures
