"""The measurement for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from pixelis.schema import Measurement

_TITLES = {
    "load": "latency and throughput (medians over rounds; in brackets the least and the most)",
    "ratio": "served divided by plain, round by round",
    "memory": "memory, proportional set size",
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
    console = Console()
    console = Console(width=max(console.width, 120))
    for kind, title in _TITLES.items():
        rows = [row for row in measured.rows if row["row"] == kind and not _small(row)]
        if rows:
            console.print(_table(title, rows))
    for claim in measured.claims:
        verdict = "[green]met[/]" if claim.met else "[red]not met[/]"
        console.print(f"{claim.claim}: {claim.measured:g} {claim.unit}, target {claim.target:g}: {verdict}")


def _small(row: dict[str, Any]) -> bool:
    return row["row"] == "stage" and max(row["plain_ms"] or 0.0, row["served_ms"] or 0.0) < _FEWEST_MS


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row if name != "row" and not name.endswith("_rounds")))
    names = [name for name in names if name != "errors" or any(row.get("errors") for row in rows)]
    table = Table(title=title, title_justify="left", box=None)
    for name in names:
        table.add_column(name.replace("_", " "), justify="left" if isinstance(rows[0].get(name), str) else "right")
    for row in rows:
        table.add_row(*(_cell(row, name) for name in names))
    return table


def _cell(row: dict[str, Any], name: str) -> str:
    value, spread = row.get(name), row.get(f"{name}_rounds")
    shown = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    return f"{shown} ({spread[0]:g}-{spread[1]:g})" if spread else shown
