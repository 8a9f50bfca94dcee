"""Figures of a report as text, the same in HTML and Markdown."""

from __future__ import annotations

from statistics import median

from builder.choosing.choose import Row
from builder.costing.cost import CaseCost, Cost

FORM_HEADS = (
    "form", "state", "gate", "p50 ms", "p90", "p95", "p99", "speed-up", "rounds", "memory MiB", "memory saved",
    "weights MiB", "weights saved", "file MiB", "accuracy", "built in",
)  # fmt: skip
CASE_HEADS = (
    "form", "request", "p50 ms", "p90", "p95", "p99", "items/s", "original p50", "original items/s", "speed-up",
    "rounds",
)  # fmt: skip
TASK_HEADS = ("form", "task", "cases", "original", "this form", "difference, points", "95 % interval", "allowed drop")
NONE = "–"


def form_cells(row: Row) -> list[str]:
    """A row of the table of forms; the first case stands for the latency."""
    cost = row.cost
    if cost is None or not cost.cases:
        return [row.candidate, row.state, row.verdict or NONE] + [NONE] * 11 + [accuracy(row), NONE]
    first = cost.cases[0]
    timing = first.timing
    return [
        row.candidate,
        row.state,
        row.verdict or NONE,
        *(number(value) for value in (timing.p50_ms, timing.p90_ms, timing.p95_ms, timing.p99_ms)),
        f"{first.speedup:.2f}×",
        f"{first.speedup_low:.2f}–{first.speedup_high:.2f}",
        number(cost.memory.model / 2**20) if cost.memory else NONE,
        share(cost.memory_saved),
        number(cost.weight_bytes / 2**20) if cost.weight_bytes else NONE,
        share(cost.weights_saved),
        number(cost.size_bytes / 2**20),
        accuracy(row),
        f"{cost.build_s:.1f} s",
    ]


def case_cells(label: str, case: CaseCost) -> list[str]:
    """A row of the table of everything that was timed."""
    timing, original = case.timing, case.reference
    return [
        label,
        case.case,
        *(number(value) for value in (timing.p50_ms, timing.p90_ms, timing.p95_ms, timing.p99_ms)),
        number(timing.throughput_per_s),
        number(original.p50_ms),
        number(original.throughput_per_s),
        f"{case.speedup:.2f}×",
        f"{case.speedup_low:.2f}–{case.speedup_high:.2f}",
    ]


def task_cells(row: Row) -> list[list[str]]:
    """A row for each task."""
    return [
        [
            row.candidate,
            f"{task.name} ({task.metric})",
            str(task.cases),
            f"{task.reference:.4f}",
            f"{task.artifact:.4f}",
            f"{100 * task.difference:+.2f}",
            f"{100 * task.low:+.2f} to {100 * task.high:+.2f}",
            f"{100 * task.allowed_drop:g}",
        ]
        for task in row.tasks
    ]


def accuracy(row: Row) -> str:
    """The worst task's difference to the original, in points."""
    return NONE if row.accuracy_drop is None else f"{0.0 - 100 * row.accuracy_drop:+.2f} points"


def share(value: float | None) -> str:
    """A share as per cent."""
    return NONE if value is None else f"{100 * value:.0f} %"


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def first_speedup(cost: Cost) -> str:
    """Median speed-up over the cases of batch 1."""
    ones = [case.speedup for case in cost.cases if case.batch == 1]
    return f"{median(ones):.2f}×" if ones else NONE


def allowed(report_drop: float) -> str:
    """The accuracy that a choice may lose, in words."""
    points = 100 * report_drop
    return f"{points:g} point{'' if points == 1 else 's'}"
