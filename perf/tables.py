"""Rows and claims of a measurement, for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pixelis.schema import Claim, Measurement

Row = Mapping[str, Any]
ROUNDS = "_rounds"
"""Behind the name of a column: the least and the most over rounds, which are shown in its brackets."""


def wide_console(width: int = 150) -> Console:
    """Of stdout, and at least so many characters wide: tables are read in files too."""
    return Console(width=max(Console().width, width))


def print_measurement(measured: Measurement, titles: Mapping[str, str], hidden: Collection[str] = ()) -> None:
    """A table for each kind of rows that `titles` names, where there are any, and the claims."""
    console = wide_console()
    for kind, title in titles.items():
        rows = [row for row in measured.rows if row["row"] == kind]
        if rows:
            console.print(row_table(title, rows, hidden))
    print_claims(console, measured.claims)


def print_plain(measured: Measurement) -> None:
    """A line for each row, where they are few and unlike, and the claims."""
    console = wide_console()
    for row in measured.rows:
        console.print(", ".join(f"{name} {value}" for name, value in row.items()), highlight=False, soft_wrap=True)
    print_claims(console, measured.claims)


def row_table(title: str, rows: Sequence[Row], hidden: Collection[str] = ()) -> Table:
    """All columns that any of the rows has, but for `row` and the hidden ones."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = [name for name in names if name not in ("row", *hidden) and not name.endswith(ROUNDS)]
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in names:
        table.add_column(name.replace("_", " "), justify="left" if isinstance(rows[0].get(name), str) else "right")
    for row in rows:
        table.add_row(*(_cell(row, name) for name in names))
    return table


def print_claims(console: Console, claims: Iterable[Claim]) -> None:
    """A line each, and whether it is met."""
    for claim in claims:
        verdict = "[green]met[/]" if claim.met else "[red]not met[/]"
        said = f"{claim.claim}: {claim.measured:g} {claim.unit}, target {claim.target:g}: {verdict}"
        console.print(said, highlight=False, soft_wrap=True)


def _cell(row: Row, name: str) -> str:
    value, spread = row.get(name), row.get(name + ROUNDS)
    if value is None:
        shown = ""
    elif isinstance(value, list):
        shown = ", ".join(map(str, value))
    else:
        shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{shown} ({spread[0]:g}-{spread[1]:g})" if spread and spread[0] != spread[1] else shown
