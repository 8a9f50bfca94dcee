"""The measurement for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from perf.knn.picture import edge
from pixelis.schema import Measurement

TITLES = {
    "duel": "The best of each library at the target, in turns, one thread (medians; in brackets the rounds)",
    "crossover": "Exact search and the fastest trained index at the target, by number of vectors",
    "crossed": "Vectors from which on a trained index is faster at every size measured",
    "live": "Searches while the index changes",
    "compact": "An index of codes, in a process of its own",
    "served": "The same searches in a process, and through Triton, asked by perf_analyzer one at a time",
    "absent": "Not measured",
}
HIDDEN = ("row", "config", "family")


def show(measured: Measurement) -> None:
    """Print tables and claims on stdout."""
    console = Console(width=max(Console().width, 150))
    for data in dict.fromkeys(row["data"] for row in measured.rows):
        own = [row for row in measured.rows if row["data"] == data]
        swept = [row for row in own if row["row"] == "sweep"]
        for title, rows in [
            (f"{data}: recall against time, what nothing of the same library beats", _fronts(swept)),
            *((f"{data}: {title}", [row for row in own if row["row"] == kind]) for kind, title in TITLES.items()),
        ]:
            if rows:
                console.print(_table(title, rows))
    for claim in measured.claims:
        verdict = "[green]met[/]" if claim.met else "[red]not met[/]"
        said = f"{claim.claim}: {claim.measured:g} {claim.unit}, target {claim.target:g}: {verdict}"
        console.print(said, highlight=False, soft_wrap=True)


def _fronts(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    libraries = dict.fromkeys(row["library"] for row in rows)
    return [row for library in libraries for row in edge([row for row in rows if row["library"] == library])]


def _table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = [name for name in names if name not in (*HIDDEN, "data") and not name.endswith("_rounds")]
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
