"""The measurement for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from pixelis.schema import Measurement

TITLES = {
    "throughput": "Tokens a second, closed loop (medians over rounds; in brackets the least and the most)",
    "roofline": "What the arithmetic alone allows",
    "agents": "Tokens a second of agents, whose turns go on from one another",
    "agreement": "Token for token as transformers",
    "arrivals": "Open loop, Poisson arrivals",
    "stalls": "Gaps between tokens of steady streams",
    "turn": "Turns of a conversation",
    "image": "A second question on the same image",
    "priority": "High priority under overload",
    "grammar": "The grammar of tool calls",
    "speculation": "Speculation, one request at a time",
    "padding": "Padding of prefill batches",
    "absent": "Not measured",
}


def show(measured: Measurement) -> None:
    """Print tables and claims on stdout."""
    console = Console()
    console = Console(width=max(console.width, 150))
    for kind, title in TITLES.items():
        rows = [row for row in measured.rows if row["row"] == kind]
        if rows:
            console.print(_table(title, rows))
    for claim in measured.claims:
        verdict = "[green]met[/]" if claim.met else "[red]not met[/]"
        said = f"{claim.claim}: {claim.measured:g} {claim.unit}, target {claim.target:g}: {verdict}"
        console.print(said, highlight=False, soft_wrap=True)


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row if name != "row" and not name.endswith("_rounds")))
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in names:
        table.add_column(name.replace("_", " "), justify="left" if isinstance(rows[0].get(name), str) else "right")
    for row in rows:
        table.add_row(*(_cell(row, name) for name in names))
    return table


def _cell(row: dict[str, Any], name: str) -> str:
    value, spread = row.get(name), row.get(f"{name}_rounds")
    shown = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{shown} ({spread[0]:g}-{spread[1]:g})" if spread and spread[0] != spread[1] else shown
