"""How the candidates of a build look on a terminal, and how the command ends."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console

from builder.building.candidates import CandidateRow, CandidatesReport
from builder.choosing.choose import Row
from builder.commands.options import table
from builder.pipeline import Pipeline
from pixelis.errors import BuildError, GateFailed


def print_rows(console: Console, report: CandidatesReport) -> None:
    """A row for each form, then in words what was not built and why."""
    columns = ("model", "form", "state", "gate", "MiB", "seconds")
    made = table(*columns, right=("MiB", "seconds"))
    built = [row for row in report.rows if row.state != "excluded"]
    for row in built:
        size = "-" if row.size_bytes is None else f"{row.size_bytes / 2**20:.2f}"
        made.add_row(row.model, row.candidate, row.state, row.gate or "-", size, f"{row.seconds:.1f}")
    if built:
        console.print(made)
    for row in report.rows:
        if row.reason:
            text = f"{row.model} {row.candidate} ({row.state}): {row.reason}"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
    states = {row.state for row in report.rows}
    counts = ", ".join(f"{sum(row.state == state for row in report.rows)} {state}" for state in sorted(states))
    console.print(f"{counts or 'No such form'} ({report.seconds:.1f} s).", highlight=False)


def print_costs(console: Console, rows: Sequence[Row]) -> None:
    """What every form costs, against the original in the same run."""
    columns = ("model", "form", "gate", "p50 ms", "p99 ms", "× speed", "memory saved", "weights saved", "accuracy")
    made = table(*columns, right=columns[3:])
    for row in rows:
        if row.state != "excluded":
            made.add_row(row.model, row.candidate, row.verdict or row.state, *_figures(row))
    console.print(made)
    console.print("At batch 1, one thread, in turns with the original in fp32 PyTorch.", highlight=False)


def _figures(row: Row) -> tuple[str, ...]:
    cost = row.cost
    first = next((case for case in cost.cases if case.batch == 1), None) if cost else None
    times = (
        (f"{first.timing.p50_ms:.2f}", f"{first.timing.p99_ms:.2f}", f"{first.speedup:.2f}") if first else ("-",) * 3
    )
    saved = (cost.memory_saved, cost.weights_saved) if cost else (None, None)
    accuracy = "-" if row.accuracy_drop is None else f"{-100 * row.accuracy_drop:+.2f} points"
    return (*times, *("-" if value is None else f"{100 * value:.0f} %" for value in saved), accuracy)


def complain(report: CandidatesReport, known: Pipeline, as_json: bool) -> None:
    """Ends the command where a form failed, or where nothing of what was asked for is a form of the models.

    Raises:
        BuildError: the first failure, `GateFailed` where it is one; or what the models are built as.
    """
    if report.failed:
        if as_json:
            raise typer.Exit(1)
        raise _failure(report.failed)
    if not any(row.state != "excluded" for row in report.rows):
        if as_json:
            raise typer.Exit(1)
        raise _nothing(report.rows, report.asked, known)


def _failure(failed: list[CandidateRow]) -> BuildError:
    first = failed[0]
    kind = GateFailed if first.code == GateFailed.code else BuildError
    others = f" ({len(failed)} forms failed)" if len(failed) > 1 else ""
    return kind(f"{first.model} {first.candidate}{others}: {first.reason}")


def _nothing(rows: list[CandidateRow], asked: list[str], known: Pipeline) -> BuildError:
    why = f": {rows[0].model} {rows[0].candidate}: {rows[0].reason}" if rows else ""
    forms = "; ".join(
        f"{name} is built as {', '.join(candidate.label for candidate in known[name].all_candidates) or 'nothing'}"
        for name in asked
    )
    return BuildError(f"Nothing of what was asked for is built{why}.", mend=f"{forms}.")
