"""Recall against queries a second, a curve for each kind of index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

COLOURS = {
    "exact": "#1f2937",
    "pixelis flat": "#6b7280",
    "pixelis ivf_flat": "#4b8f29",
    "pixelis ivf_pq fast-scan": "#2f6fde",
    "pixelis ivf_pq": "#38b2d8",
    "pixelis hnsw": "#8a4fd3",
    "pixelis lsh": "#b8860b",
    "hnswlib": "#d9822b",
    "usearch f32": "#c23b5e",
    "usearch bf16": "#e0739b",
    "usearch i8": "#7a2036",
}
INK, LINES = "#1f2937", "#d7dbe2"
FLOOR = 0.5
"""Recall below which nobody looks."""


def save(title: str, rows: Sequence[dict[str, Any]], target: float, path: Path) -> None:
    """Write the picture as PNG: of each kind what no other setting of it beats, one thread, one query at a time.

    Raises:
        ModuleNotFoundError: matplotlib, of the extra `build`, is not installed.
    """
    from matplotlib.figure import Figure

    page = Figure(figsize=(9.6, 5.6), layout="constrained")
    axes = page.subplots()
    for family in dict.fromkeys(row["family"] for row in rows):
        front = edge([row for row in rows if row["family"] == family])
        ours = family.startswith("pixelis")
        axes.plot(
            [row["recall"] for row in front],
            [row["qps"] for row in front],
            color=COLOURS.get(family, INK),
            linestyle="-" if ours else "--",
            linewidth=1.8 if ours else 1.3,
            marker="*" if family == "exact" else ".",
            markersize=13 if family == "exact" else 5,
            label=family,
        )
    axes.axvline(target, color=INK, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_xlim(FLOOR, 1.005)
    axes.set_xlabel("recall@10 on held-out queries", color=INK)
    axes.set_ylabel("queries a second, one thread, one at a time", color=INK)
    axes.grid(color=LINES, linewidth=0.6)
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.legend(fontsize=8, frameon=False, loc="lower left")
    path.parent.mkdir(parents=True, exist_ok=True)
    page.savefig(path, dpi=130)


def edge(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Settings that no other one beats in both recall and speed, from the least recall to the most."""
    best = [a for a in rows if not any(b["recall"] >= a["recall"] and b["qps"] > a["qps"] for b in rows)]
    return sorted((row for row in best if row["recall"] >= FLOOR), key=lambda row: float(row["recall"]))
