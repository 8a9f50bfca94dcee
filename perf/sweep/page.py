"""A sweep as a page, and as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from perf import pages
from perf.pages import card, figure, svg, table
from pixelis.schema import Measurement


def page(measured: Measurement) -> str:
    """The whole page."""
    rows = measured.rows
    unsettled = [row for row in rows if row["stable"] is False]
    said = f"{rows[0]['model']} over {rows[0]['protocol']}, {rows[0]['requests']} requests a level."
    if unsettled:
        said += f" {len(unsettled)} of {len(rows)} levels had not settled: their figures are of a moment."
    picture = figure(curve(rows), "Throughput against latency; numbers are the levels, empty marks had not settled.")
    return pages.page("Sweep", measured, said, (card("Throughput and latency", picture), card("Levels", table(rows))))


def curve(rows: list[dict[str, Any]]) -> str:
    """Answers a second against p50 and p99, as SVG."""
    from matplotlib.figure import Figure

    plotted = Figure(figsize=(9, 4.5), layout="constrained")
    axes = plotted.subplots()
    for name, colour in (("p50_ms", "#2257c4"), ("p99_ms", "#a3202c")):
        axes.plot([row["throughput_per_s"] for row in rows], [row[name] for row in rows], color=colour, label=name[:3])
        for row in rows:
            inner = "white" if row["stable"] is False else colour
            axes.plot(row["throughput_per_s"], row[name], "o", color=colour, markerfacecolor=inner)
    for row in rows:
        level = row.get("concurrency", row.get("sent_per_s"))
        axes.annotate(f"{level:g}", (row["throughput_per_s"], row["p99_ms"]), xytext=(5, 5), textcoords="offset points")
    axes.set_xlabel("answers a second")
    axes.set_ylabel("milliseconds")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    return svg(plotted)


def as_csv(measured: Measurement) -> str:
    """A line a level under the names of its columns."""
    names = list(dict.fromkeys(name for row in measured.rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names)
    writer.writeheader()
    writer.writerows(measured.rows)
    return buffer.getvalue()
