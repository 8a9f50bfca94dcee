"""The measurement as tables."""

from __future__ import annotations

from typing import Any

from perf.scale.grid import REPLICAS
from perf.tables import print_claims, row_table, wide_console
from pixelis.schema import Measurement

_TITLES = {
    "replica": "A question, on one replica",
    "cache": "The Redis of the caches",
    "balancer": "nginx",
    "log": "The Redis of the log",
    "validation": "Simulated and real",
}
_SHOWN = (1, 3, 10, 30, 100, 300, 1000)


def show(measured: Measurement) -> None:
    """A table for each part, then for each mix how busy parts are and where they end, and the claims."""
    console = wide_console(170)
    for kind, title in _TITLES.items():
        rows = [row for row in measured.rows if row["row"] == kind]
        for group in _alike(rows):
            console.print(row_table(title, group))
    for mix in dict.fromkeys(row["mix"] for row in measured.rows if row["row"] == "grid"):
        lines = [_line(measured.rows, mix, part) for part in _parts(measured.rows, mix)]
        console.print(row_table(f"{mix}: load, and p99 of the wait in ms, at so many replicas", lines))
    print_claims(console, measured.claims)


def _alike(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows with the same columns, together."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row.get("measured", row.get("client", ""))), []).append(row)
    return list(groups.values())


def _parts(rows: list[dict[str, Any]], mix: str) -> list[str]:
    return [row["part"] for row in rows if row["row"] == "saturation" and row["mix"] == mix]


def _line(rows: list[dict[str, Any]], mix: str, part: str) -> dict[str, Any]:
    mine = [row for row in rows if row.get("mix") == mix and row.get("part") == part]
    grid = {row["replicas"]: row for row in mine if row["row"] == "grid"}
    end = next(row for row in mine if row["row"] == "saturation")
    line: dict[str, Any] = {"part": part}
    for count in _SHOWN:
        line[str(count)] = _cell(grid.get(count))
    return {**line, "full_at": end["full_at"] or "-", "p99 over 10 ms at": end.get("late_at") or "-"}


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    wait = row["p99_ms"]
    load = f"{row['load']:.3f}" if row["load"] < 10 else f"{row['load']:.0f}"
    return load if wait is None else f"{load} {wait:.2g}"


assert set(_SHOWN) <= set(REPLICAS)
