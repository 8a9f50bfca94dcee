"""Recall against queries a second, a curve for each index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

COLOURS = {"pixelis": "#2f6fde", "hnswlib": "#d9822b", "usearch": "#c23b5e", "exact": "#1f2937"}
STYLES = ("-", "--", "-.", ":")
INK, LINES = "#1f2937", "#d7dbe2"
FLOOR = 0.5
"""Recall below which nobody looks."""


def save(title: str, rows: Sequence[dict[str, Any]], target: float, path: Path) -> None:
    """Write the picture as PNG: the outer edge of each index's settings, one thread, one query at a time.

    Raises:
        ModuleNotFoundError: matplotlib, of the extra `build`, is not installed.
    """
    from matplotlib.figure import Figure

    page = Figure(figsize=(9.6, 6.0), layout="constrained")
    axes = page.subplots()
    for label, points in _curves(rows).items():
        library = points[0]["library"]
        front = edge(points)
        axes.plot(
            [row["recall"] for row in front],
            [row["qps"] for row in front],
            color=COLOURS.get(library, "#6b7280"),
            linestyle=STYLES[_turn(label, library, rows)],
            marker="*" if library == "exact" else ".",
            markersize=12 if library == "exact" else 5,
            linewidth=1.3,
            alpha=0.9,
            label=label,
        )
    axes.axvline(target, color=INK, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_xlim(FLOOR, 1.005)
    axes.set_xlabel("recall@10 on held-out queries", color=INK)
    axes.set_ylabel("queries a second, one thread, one at a time", color=INK)
    axes.grid(color=LINES, linewidth=0.6)
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    page.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=7, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.savefig(path, dpi=130)


def edge(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Settings that no other one beats in both recall and speed, from the least recall to the most."""
    best = [a for a in rows if not any(b["recall"] >= a["recall"] and b["qps"] > a["qps"] for b in rows)]
    return sorted((row for row in best if row["recall"] >= FLOOR), key=lambda row: float(row["recall"]))


def _curves(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by index; those that never get into the picture are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["index"], []).append(row)
    return {label: points for label, points in found.items() if edge(points)}


def _turn(label: str, library: str, rows: Sequence[dict[str, Any]]) -> int:
    labels = list(dict.fromkeys(row["index"] for row in rows if row["library"] == library))
    return labels.index(label) % len(STYLES)
