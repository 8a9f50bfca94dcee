"""The measurement for people."""

from __future__ import annotations

from typing import Any

from perf.tables import print_measurement
from pixelis.schema import Measurement

_TITLES = {
    "load": "latency and throughput (medians over rounds; in brackets the least and the most)",
    "ratio": "served divided by plain, round by round",
    "repeated": "four of five questions were asked before",
    "alone": "each optimisation alone: served divided by plain, round by round",
    "memory": "memory, proportional set size",
    "part": "parts, each by its own benchmark",
    "form": "models: their forms, and what each takes in a process of its own (pixelis bench formats)",
    "accuracy": "right answers",
    "stage": "milliseconds per stage, medians",
    "process": "processes of the server",
    "model": "Triton's counters, milliseconds a request",
    "plain variant": "ways to run the plain side",
}
_FEWEST_MS = 1.0
"""Stages that take less on both sides are left out here; `--json` has them."""


def show(measured: Measurement) -> None:
    """Print tables and claims on stdout."""
    hidden = () if any(row.get("errors") for row in measured.rows) else ("errors",)
    rows = [row for row in measured.rows if not _small(row)]
    print_measurement(measured.model_copy(update={"rows": rows}), _TITLES, hidden)


def _small(row: dict[str, Any]) -> bool:
    return row["row"] == "stage" and max(row["plain_ms"] or 0.0, row["served_ms"] or 0.0) < _FEWEST_MS
