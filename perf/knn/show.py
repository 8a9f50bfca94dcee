"""The measurement for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perf.knn.picture import edge
from perf.tables import print_claims, row_table, wide_console
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
HIDDEN = ("config", "family", "data")


def show(measured: Measurement) -> None:
    """Print tables and claims on stdout."""
    console = wide_console()
    for data in dict.fromkeys(row["data"] for row in measured.rows):
        own = [row for row in measured.rows if row["data"] == data]
        swept = [row for row in own if row["row"] == "sweep"]
        for title, rows in [
            (f"{data}: recall against time, what nothing of the same library beats", _fronts(swept)),
            *((f"{data}: {title}", [row for row in own if row["row"] == kind]) for kind, title in TITLES.items()),
        ]:
            if rows:
                console.print(row_table(title, rows, HIDDEN))
    print_claims(console, measured.claims)


def _fronts(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    libraries = dict.fromkeys(row["library"] for row in rows)
    return [row for library in libraries for row in edge([row for row in rows if row["library"] == library])]
