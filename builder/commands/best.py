"""`pixelis build --optimize` and `--preset`: from the command line to `optimise`, and what came of it."""

from __future__ import annotations

import typer
from rich.console import Console

from builder.choosing.optimise import OptimiseReport, optimise
from builder.commands.modes import fail_with, print_build
from builder.commands.options import progress
from builder.commands.request import Request
from builder.commands.show_candidates import print_costs
from pixelis.errors import BuildError


def best(request: Request) -> None:
    """Build the forms, measure them, publish the best (or write it into `output`), and say why it is that."""
    formats, precisions = request.forms
    with progress(quiet=request.as_json) as watch:
        report = optimise(
            request.names,
            request.goal,
            preset=request.preset,
            formats=formats if request.formats else None,
            precisions=precisions if request.precisions else None,
            max_accuracy_drop=request.max_accuracy_drop,
            device=request.device,
            jobs=request.jobs,
            repository=request.repository,
            output=request.output,
            watch=watch,
        )
    if request.as_json:
        typer.echo(report.model_dump_json())
        if report.failed or not report.choices:
            raise typer.Exit(1)
        return
    _print(Console(), report)
    if report.bundle is not None:
        typer.echo(f"Written: {request.output}. Try it: python {request.output}/run.py --check")
    _complain(report)


def _print(console: Console, report: OptimiseReport) -> None:
    print_costs(console, report.rows)
    for choice in report.choices:
        console.print(f"{choice.model}: {choice.chosen or 'nothing'}: {choice.why}.", highlight=False, soft_wrap=True)
        for label, reason in choice.thrown_out.items():
            console.print(f"  {label} cannot be chosen: {reason}", highlight=False, markup=False, soft_wrap=True)
    if report.build is not None:
        print_build(console, report.build)
    if report.page is not None:
        console.print(f"The whole table and the pictures: {report.page}", highlight=False, soft_wrap=True)


def _complain(report: OptimiseReport) -> None:
    """Raises `BuildError` where a model has no form that may be chosen, or the one that was is not published."""
    if report.build is not None:
        fail_with(report.build, as_json=False)
    if not report.choices:
        mend = "`pixelis build --formats all` lists what there is, and what is not and why."
        raise BuildError("The models have none of the forms that were asked for, so there is no choice.", mend=mend)
    unchosen = [choice for choice in report.choices if choice.chosen is None]
    if unchosen:
        reasons = "; ".join(f"{label}: {why}" for label, why in unchosen[0].thrown_out.items())
        mend = "Allow more with --max-accuracy-drop, or other forms with --formats and --precisions."
        raise BuildError(f"{unchosen[0].model}: {unchosen[0].why} ({reasons}).", mend=mend)
