"""A report as one self-contained HTML page: tables, pictures inline, no script."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from html import escape

from builder.choosing.choose import Row
from builder.choosing.pareto import draw
from builder.reporting.cells import (
    CASE_HEADS,
    FORM_HEADS,
    NONE,
    TASK_HEADS,
    accuracy,
    allowed,
    case_cells,
    first_speedup,
    form_cells,
    share,
    task_cells,
)
from builder.reporting.report import ModelReport, Report
from builder.reporting.style import STYLE

LEFT = {"form", "state", "gate", "request", "task", "reason", "model", "served as", "why", "goal"}
CAPTION = (
    "Lower left is better. Filled: no other form is as good in time, memory and accuracy at once. Ring: served. "
    "Colour: format; shape: precision."
)
SUMMARY = ("model", "served as", "version", "speed-up", "memory saved", "weights saved", "accuracy", "why")


def html(report: Report) -> str:
    """The whole page."""
    made = datetime.fromtimestamp(report.made_at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    machine = " · ".join(f"{name} {value}" for name, value in report.machine.items())
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Forms of the models</title><style>{STYLE}</style></head><body><main>",
        "<header><h1>Forms of the models</h1>",
        f'<p class="sub">{escape(made)} · {escape(machine)}</p>',
        "<p>Every form is held against its fp32 original: the gate on its answers, tasks on its accuracy, and its "
        "cost on one thread, in turns with the original in the same run. Latency figures in the tables of forms are of "
        f"the model's first request shape; choices allow a drop of {allowed(report.max_accuracy_drop)}.</p>",
        "</header>",
        _summary(report),
        *(_model(model) for model in report.models),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _summary(report: Report) -> str:
    rows = [_summary_cells(model) for model in report.models]
    return f'<section class="card"><h2>What is served</h2>{_table(SUMMARY, rows)}</section>'


def _summary_cells(model: ModelReport) -> list[str]:
    served = model.served
    link = f'<a href="#{escape(model.model)}">{escape(model.model)}</a>'
    if served is None:
        return [link, "nothing", *[NONE] * 5, escape(model.note)]
    row = next((one for one in model.rows if one.candidate == served.candidate and one.cost), None)
    cost = row.cost if row else None
    figures = [first_speedup(cost), share(cost.memory_saved), share(cost.weights_saved)] if cost else [NONE] * 3
    drop = accuracy(row) if row else NONE
    why = f'<span class="why">{escape(served.why)}</span>'
    return [link, f"<b>{escape(served.candidate)}</b>", str(served.version), *figures, drop, why]


def _model(model: ModelReport) -> str:
    built = [row for row in model.rows if row.state != "excluded"]
    return "".join(
        [
            f'<section class="card" id="{escape(model.model)}"><h2>{escape(model.model)}</h2>',
            _served(model),
            _picture(model),
            _goals(model),
            _table(FORM_HEADS, [_form(row, model.shown) for row in built]),
            *_details(model, built),
            "</section>",
        ]
    )


def _served(model: ModelReport) -> str:
    if model.served is None:
        return f"<p>Nothing is published. {escape(model.note)}</p>"
    served = model.served
    return (
        f"<p>Served as <b>{escape(served.candidate)}</b>, version {served.version} "
        f"<code>{served.digest[:12]}</code>: {escape(served.why)}.</p>"
    )


def _batching(model: ModelReport) -> str:
    cost = next((row.cost for row in model.rows if row.candidate == model.shown and row.cost), None)
    return f" Batch size that is worth while: {escape(str(cost.batching))}." if cost and cost.batching else ""


def _picture(model: ModelReport) -> str:
    made = draw(model.model, model.rows, model.shown, "svg").decode()
    if not made:
        return '<p class="none">Nothing of it was measured on this machine: <code>pixelis bench formats</code>.</p>'
    inline = re.sub(r"^.*?(?=<svg)", "", made, count=1, flags=re.DOTALL)
    # identifiers are made unique, because all pictures share one page
    inline = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{model.model}-", inline)
    label = f"{model.model}: latency against memory of every form, and speed-ups"
    picture = f'<div role="img" aria-label="{escape(label)}">{inline}</div>'
    return f"<figure>{picture}<figcaption>{CAPTION}</figcaption></figure>"


def _goals(model: ModelReport) -> str:
    if not model.best:
        return ""
    rows = [[choice.goal, f"<b>{escape(choice.chosen or 'none')}</b>", escape(choice.why)] for choice in model.best]
    return _table(("goal", "form", "why"), rows)


def _form(row: Row, shown: str | None) -> list[str]:
    cells = [escape(cell) for cell in form_cells(row)]
    star = ' <span class="star" title="served">★</span>' if row.candidate == shown else ""
    cells[0] = f"<b>{cells[0]}{star}</b>"
    cells[1] = _pill(row.state)
    cells[2] = _pill(row.verdict) if row.verdict else NONE
    return cells


def _details(model: ModelReport, built: Sequence[Row]) -> Iterator[str]:
    reasons = [[f"<b>{escape(row.candidate)}</b>", _pill(row.state), escape(row.reason)] for row in built if row.reason]
    for row in built:
        reasons += [[f"<b>{escape(row.candidate)}</b>", _pill("warn"), escape(text)] for text in row.warnings]
    if reasons:
        yield "<h3>What the gate and the build say</h3>" + _table(("form", "state", "reason"), reasons)
    tasks = [[escape(cell) for cell in cells] for row in built for cells in task_cells(row)]
    if tasks:
        yield _fold(f"Task accuracy ({len(tasks)})", _table(TASK_HEADS, tasks))
    timed = [
        [escape(cell) for cell in case_cells(row.candidate, case)]
        for row in built
        if row.cost
        for case in row.cost.cases
    ]
    if timed:
        original = next(row.cost.reference for row in built if row.cost)
        yield _fold(f"Everything timed, beside {escape(original)} ({len(timed)})", _table(CASE_HEADS, timed))
    excluded = [[escape(row.candidate), escape(row.reason)] for row in model.rows if row.state == "excluded"]
    if excluded:
        yield _fold(f"Not built, and why ({len(excluded)})", _table(("form", "reason"), excluded))


def _fold(title: str, inside: str) -> str:
    return f"<details><summary>{title}</summary>{inside}</details>"


def _pill(word: str) -> str:
    return f'<span class="pill {escape(word.replace(" ", "-"))}">{escape(word)}</span>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    kinds = ["" if head in LEFT else ' class="n"' for head in heads]
    top = "".join(f"<th{kind}>{escape(head)}</th>" for head, kind in zip(heads, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
