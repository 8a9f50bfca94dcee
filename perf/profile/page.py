"""A profile as one self-contained HTML page: tables, pictures inline, no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from builder.reporting.style import STYLE
from perf.profile.drawing import flame, timeline, waterfall
from perf.profile.memory import Memory
from perf.profile.tree import Node
from pixelis.schema import Measurement

MORE_STYLE = """
svg text { fill:#1b2430; font-family:inherit; } svg .tick { stroke:#d5dae2; } figure { background:#fff; }
.critical, .high { background:var(--bad-bg); color:var(--bad); }
.medium { background:var(--warn-bg); color:var(--warn); }
"""


def page(measured: Measurement, trees: Sequence[Node], memory: Memory) -> str:
    """The whole page."""
    machine = " · ".join(f"{name} {value}" for name, value in measured.machine.items())
    (whole,) = (row for row in measured.rows if row["row"] == "request")
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Profile</title><style>{STYLE}{MORE_STYLE}</style></head><body><main>",
        f'<header><h1>Profile</h1><p class="sub"><code>{escape(measured.command)}</code> · {escape(machine)}</p>',
        f"<p>{whole['requests']} requests; of one p50 {whole['p50_ms']:.1f} ms, p90 {whole['p90_ms']:.1f}, "
        f"p95 {whole['p95_ms']:.1f}, p99 {whole['p99_ms']:.1f}.</p></header>",
        _card("What mending would give", _bottlenecks(measured.rows)),
        _card("Against the older profile", _table([row for row in measured.rows if row["row"] == "change"])),
        _card("The median request", _figure(waterfall(_median(trees)), "A row is a span; pointed at, it says more.")),
        _card("All requests", _figure(flame(trees), "Widths are milliseconds a request; children below parents.")),
        _card("Components", _table([row for row in measured.rows if row["row"] == "component"])),
        _card("Layers", _layers(measured.rows)),
        _card("Memory", _memory(measured.rows, memory)),
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _median(trees: Sequence[Node]) -> Node:
    return sorted(trees, key=lambda tree: tree.end - tree.start)[len(trees) // 2]


def _card(title: str, inner: str) -> str:
    return f'<section class="card"><h2>{escape(title)}</h2>{inner}</section>' if inner else ""


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


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
    tables = {model: _table([row for row in found if row["model"] == model]) for model in models}
    inner = (f"<details><summary>{escape(model)}</summary>{table}</details>" for model, table in tables.items())
    return f"<p>{said}</p>" + "".join(inner)


def _memory(rows: Sequence[dict[str, Any]], memory: Memory) -> str:
    found = [row for row in rows if row["row"] == "memory"]
    if len(memory.times) < 2:
        return _table(found)
    picture = timeline(memory.times, memory.sizes())
    return _figure(picture, "Proportional set sizes while requests were asked.") + _table(found)


def _table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    names = [name for name in rows[0] if name != "row"]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join("<tr>" + "".join(_cell(row.get(name)) for name in names) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, (int, float)):
        return f'<td class="n">{value:,.2f}</td>' if isinstance(value, float) else f'<td class="n">{value}</td>'
    return f"<td>{escape('' if value is None else str(value))}</td>"
