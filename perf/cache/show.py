"""The measurement for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from pixelis.schema import Measurement

TITLES = {
    "latency": "Look-ups, decoding included (us)",
    "zipf": "Hit rate under Zipf(1.0)",
    "repeats": "Traffic of which most was asked before",
    "reward": "Reward of a trajectory, in a process",
    "served": "Through Triton",
    "soak": "Mixed load while Redis is killed",
}


def show(measured: Measurement) -> None:
    """Print tables and claims on stdout."""
    console = Console(width=max(Console().width, 120))
    for kind, title in TITLES.items():
        rows = [row for row in measured.rows if row["row"] == kind]
        if not rows:
            continue
        names = [name for name in dict.fromkeys(name for row in rows for name in row) if name != "row"]
        table = Table(title=title)
        for name in names:
            table.add_column(name.replace("_", " "), justify="right")
        for row in rows:
            table.add_row(*(str(row.get(name, "")) for name in names))
        console.print(table)
    for claim in measured.claims:
        verdict = "[green]met[/]" if claim.met else "[red]not met[/]"
        console.print(f"{claim.claim}: {claim.measured:g} {claim.unit}, target {claim.target:g}: {verdict}")
