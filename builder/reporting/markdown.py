"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from builder.reporting.cells import CASE_HEADS, FORM_HEADS, TASK_HEADS, allowed, case_cells, form_cells, task_cells
from builder.reporting.report import ModelReport, Report


def markdown(report: Report) -> str:
    """The whole report."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    made = datetime.fromtimestamp(report.made_at, timezone.utc).isoformat(timespec="seconds")
    machine = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    yield "# Forms of the models"
    yield ""
    yield f"Made {made} on {machine}."
    yield "Latency: one thread, in turns with the original in the same run, the model's first request shape;"
    yield f"choices allow a drop of {allowed(report.max_accuracy_drop)} of a task's score."
    for model in report.models:
        yield ""
        yield f"## {model.model}"
        yield ""
        yield from _model(model)


def _model(model: ModelReport) -> Iterator[str]:
    if model.served:
        yield f"Served: **{model.served.candidate}**, version {model.served.version}: {_text(model.served.why)}."
    else:
        yield "Served: nothing is published."
    for choice in model.best:
        yield f"- best for {choice.goal}: **{choice.chosen or 'none'}** ({_text(choice.why)})"
    if model.note:
        yield f"- {_text(model.note)}"
    yield ""
    built = [row for row in model.rows if row.state != "excluded"]
    yield from _table(FORM_HEADS, [form_cells(row) for row in built])
    tasks = [cells for row in built for cells in task_cells(row)]
    if tasks:
        yield from ("", "Tasks, against the fp32 original:", "")
        yield from _table(TASK_HEADS, tasks)
    timed = [case_cells(row.candidate, case) for row in built if row.cost for case in row.cost.cases]
    if timed:
        yield from ("", f"Everything timed, beside {next(row.cost.reference for row in built if row.cost)}:", "")
        yield from _table(CASE_HEADS, timed)
    reasons = [[row.candidate, row.state, row.reason] for row in model.rows if row.reason]
    reasons += [[row.candidate, "warning", text] for row in built for text in row.warnings]
    if reasons:
        yield ""
        yield from _table(("form", "state", "reason"), reasons)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + " --- |" * len(heads)
    for row in rows:
        yield "| " + " | ".join(_text(cell) for cell in row) + " |"


def _text(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").split())
