"""The measurement for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from builder.commands.options import table
from perf.tables import print_claims, wide_console
from pixelis.schema import Measurement

FORM = (
    ("x at 1", "speedup_batch_1"), ("MiB", "memory_mib"), ("mem saved", "memory_saved"), ("weights", "weights_mib"),
    ("w saved", "weights_saved"), ("file", "size_mib"), ("acc lost", "accuracy_drop"), ("build s", "build_s"),
)  # fmt: skip
TIMING = (
    ("p50 ms", "p50_ms"), ("p90", "p90_ms"), ("p95", "p95_ms"), ("p99", "p99_ms"), ("items/s", "throughput_per_s"),
    ("orig. p50", "reference_p50_ms"), ("x", "speedup"), ("low", "speedup_low"), ("high", "speedup_high"),
)  # fmt: skip


def show(measured: Measurement) -> None:
    """Print tables, what was not measured and why, choices and claims on stdout."""
    console = wide_console(140)
    rows = measured.rows
    _table(console, [row for row in rows if row["row"] == "form" and row["state"] == "measured"], FORM, "")
    _table(console, [row for row in rows if row["row"] == "timing"], TIMING, "case")
    for row in rows:
        if row["row"] == "form" and row["state"] != "measured":
            text = f"{row['checkpoint']} {row['model']} {row['candidate']} ({row['state']}): {row['reason']}"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
        if row["row"] == "choice":
            text = f"{row['checkpoint']} {row['model']}: {row['chosen'] or 'nothing'} chosen: {row['why']}"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
    print_claims(console, measured.claims)


def _table(console: Console, rows: list[dict[str, Any]], columns: tuple[tuple[str, str], ...], case: str) -> None:
    if not rows:
        return
    heads = ["checkpoint", "model", "form", *([case] if case else []), *(head for head, _ in columns)]
    made = table(*heads, right=tuple(head for head, _ in columns))
    for row in rows:
        star = "*" if row.get("chosen") else ""
        cells = [row["checkpoint"], row["model"], row["candidate"] + star, *([row[case]] if case else [])]
        made.add_row(*cells, *(_cell(row.get(name)) for _, name in columns))
    console.print(made)


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
