"""A profile as a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from perf import pages
from perf.pages import card, figure, table
from perf.profile.drawing import flame, timeline, waterfall
from perf.profile.memory import Memory
from perf.profile.tree import Node
from pixelis.schema import Measurement


def page(measured: Measurement, trees: Sequence[Node], memory: Memory) -> str:
    """The whole page."""
    (whole,) = (row for row in measured.rows if row["row"] == "request")
    said = (
        f"{whole['requests']} requests; of one p50 {whole['p50_ms']:.1f} ms, p90 {whole['p90_ms']:.1f}, "
        f"p95 {whole['p95_ms']:.1f}, p99 {whole['p99_ms']:.1f}."
    )
    rows = measured.rows
    cards = (
        card("What mending would give", _bottlenecks(rows)),
        card("Against the older profile", table([row for row in rows if row["row"] == "change"])),
        card("The median request", figure(waterfall(_median(trees)), "A row is a span; pointed at, it says more.")),
        card("All requests", figure(flame(trees), "Widths are milliseconds a request; children below parents.")),
        card("Components", table([row for row in rows if row["row"] == "component"])),
        card("Layers", _layers(rows)),
        card("Memory", _memory(rows, memory)),
    )
    return pages.page("Profile", measured, said, cards)


def _median(trees: Sequence[Node]) -> Node:
    return sorted(trees, key=lambda tree: tree.end - tree.start)[len(trees) // 2]


def _bottlenecks(rows: Sequence[dict[str, Any]]) -> str:
    found = [row for row in rows if row["row"] == "bottleneck"]
    if not found:
        return "<p>Nothing that would give more than half a per cent.</p>"
    items = []
    for row in found:
        spans = ", ".join(
            f"request {one['request']} at {one['at_ms']:.1f} ms ({one['saved_ms']:.1f} of {one['ms']:.1f} ms)"
            for one in row["spans"]
        )
        items.append(
            f'<h3><span class="pill {row["severity"]}">{row["severity"]}</span> {escape(row["component"])}, '
            f"{row['kind']}: {row['gain_ms']:.2f} ms a request ({100 * row['share']:.1f} %)</h3>"
            f"<p>p50 {row['p50_ms']:.1f} → {row['p50_after_ms']:.1f} ms. {escape(row['suggestion'])} "
            f'<span class="why">{escape(spans)}</span></p>'
        )
    return "".join(items)


def _layers(rows: Sequence[dict[str, Any]]) -> str:
    found = [row for row in rows if row["row"] == "layers"]
    if not found:
        return ""
    (limits,) = (row for row in rows if row["row"] == "ceilings")
    said = f"One thread here does {limits['gflop_per_s']:.0f} GFLOP/s in fp32 and moves {limits['gb_per_s']:.1f} GB/s."
    models = dict.fromkeys(row["model"] for row in found)
    tables = {model: table([row for row in found if row["model"] == model]) for model in models}
    inner = (f"<details><summary>{escape(model)}</summary>{table}</details>" for model, table in tables.items())
    return f"<p>{said}</p>" + "".join(inner)


def _memory(rows: Sequence[dict[str, Any]], memory: Memory) -> str:
    found = [row for row in rows if row["row"] == "memory"]
    if len(memory.times) < 2:
        return table(found)
    picture = timeline(memory.times, memory.sizes())
    return figure(picture, "Proportional set sizes while requests were asked.") + table(found)
