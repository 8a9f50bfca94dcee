"""What came of the faults, as a table of Markdown, which documentation takes as it is."""

from __future__ import annotations

import typer

from pixelis.schema import Measurement

COLUMNS = {
    "fault": "fault",
    "failed": "failed, asked once",
    "failed_retrying": "failed, our client",
    "failed_streams": "streams cut",
    "done_without": "answered without a part",
    "slowest_s": "slowest (s)",
    "changes_refused": "changes refused",
    "lost": "lost",
    "recovery_s": "well again after (s)",
    "alerts": "alerts",
}


def show(measured: Measurement) -> None:
    """A line for each fault, and below what was otherwise than expected."""
    typer.echo(f"| {' | '.join(COLUMNS.values())} | as expected |")
    typer.echo("|---" * (len(COLUMNS) + 1) + "|")
    run = [row for row in measured.rows if row["row"] == "fault"]
    for row in run:
        cells = ["never" if row.get(name) is None else str(row[name]) for name in COLUMNS]
        typer.echo(f"| {' | '.join(cells)} | {'yes' if row['held'] else 'no'} |")
    for row in run:
        for line in row["broken"]:
            typer.echo(f"{row['fault']}: {line}")
    for row in measured.rows:
        if row["row"] == "not run":
            typer.echo(f"{row['fault']}: not run, as {row['why']}")
