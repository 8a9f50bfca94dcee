"""What `pixelis build` does: bring up to date, build candidates, publish a segmenter (the best form: `best`)."""

from __future__ import annotations

import time
from pathlib import Path

import typer
from rich.console import Console

from builder.building.build import BuildReport
from builder.building.build import build as run_build
from builder.building.candidates import build_candidates
from builder.checkpoints.account import Account, Taken
from builder.commands.options import echo, progress, table
from builder.commands.request import Request
from builder.commands.show_candidates import complain, print_costs, print_rows
from builder.segmenting.attach import attach, detach
from builder.spec import pipeline
from builder.store import Store
from builder.storing.chosen import Choice
from pixelis.errors import BuildError, GateFailed
from pixelis.settings import settings
from python_backends.visual_ops.pair import PAIR


def publish(request: Request) -> None:
    """Make and publish what is not up to date."""
    forms = {request.names[0]: _choice(request.names[0], request.publish)} if request.publish else {}
    with progress(quiet=request.as_json) as watch:
        report = run_build(
            request.names,
            force=request.force,
            default=request.default,
            forms=forms,
            repository=request.repository,
            target=request.target,
            jobs=request.jobs,
            spec=request.spec,
            watch=watch,
        )
    report = report.model_copy(update={"checkpoint": _taken(request.account)})
    if request.as_json:
        typer.echo(report.model_dump_json())
    else:
        print_build(Console(), report)
        if request.name is not None and report.worked and not report.failed:
            typer.echo(f"A server that runs answers with it now: `pixelis ask ... --model {request.name}`.")
    fail_with(report, request.as_json)


def segmenter(request: Request) -> None:
    """Publish the segmenter in a folder, or take the published one away."""
    with progress(quiet=request.as_json) as watch:
        if request.segmenter == "none":
            report = detach(repository=request.repository, target=request.target)
        else:
            report = attach(
                Path(request.segmenter).expanduser(),
                force=request.force,
                repository=request.repository,
                target=request.target,
                watch=watch,
            )
    if request.as_json:
        typer.echo(report.model_dump_json())
        return
    print_build(Console(), report)
    if request.segmenter != "none" and report.worked:
        typer.echo(f"A server that runs loads it with `pixelis models load {' '.join(PAIR)}`.")


def _choice(model: str, label: str) -> Choice:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return Choice(label=label, why=f"`pixelis build {model} --publish {label}` on {day}")


def candidates(request: Request) -> None:
    """Build and judge every form that is asked for into the cache; with `measure`, time them too."""
    formats, precisions = request.forms
    known = pipeline()
    with progress(quiet=request.as_json) as watch:
        report = build_candidates(
            request.names,
            formats,
            precisions,
            force=request.force,
            device=request.device,
            jobs=request.jobs,
            repository=request.repository,
            watch=watch,
        )
        costs = []
        if request.measure:
            from builder.choosing.optimise import measured_rows
            from builder.measure import Plan

            store = Store(request.repository or settings().repository, settings().state)
            costs = measured_rows(store, known, report.rows, Plan(), watch)
    taken = _taken(request.account)
    if request.as_json:
        of_checkpoint = {"checkpoint": taken.model_dump()} if taken else {}
        echo(
            {
                **report.model_dump(),
                **of_checkpoint,
                **({"costs": [row.model_dump() for row in costs]} if costs else {}),
            }
        )
    else:
        print_rows(Console(), report)
        if costs:
            print_costs(Console(), costs)
        print_taken(Console(), taken)
    complain(report, known, request.as_json)


def print_build(console: Console, report: BuildReport) -> None:
    """A row for each model, then in words what there is to say."""
    made = table("model", "state", "form", "version", "digest", "seconds", right=("version", "seconds"))
    for outcome in report.models:
        version, digest = str(outcome.version or "-"), (outcome.digest or "-")[:12]
        seconds = f"{outcome.seconds:.1f}"
        made.add_row(outcome.model, outcome.state, outcome.candidate or "-", version, digest, seconds)
    console.print(made)
    for outcome in report.models:
        for text in (outcome.reason if outcome.state != "failed" else None, outcome.chosen):
            if text:
                console.print(f"{outcome.model}: {text}.", highlight=False, markup=False, soft_wrap=True)
    if report.written:
        console.print(f"config.pbtxt written: {', '.join(report.written)}.", highlight=False)
    if report.worked:
        print_taken(console, report.checkpoint)
    else:
        console.print(f"Nothing to do: everything is up to date ({report.seconds:.1f} s).", highlight=False)


def _taken(account: Account | None) -> Taken | None:
    return None if account is None else account.close()


def print_taken(console: Console, taken: Taken | None) -> None:
    """What was planned and what was used, in a line."""
    if taken is not None:
        said, used, gib = taken.plan, taken.used, 2**30
        console.print(
            f"Planned {said.disk_bytes / gib:.2f} GiB of disk and {said.memory_bytes / gib:.2f} GiB of memory; "
            f"used {used.disk_bytes / gib:.2f} and {used.memory_bytes / gib:.2f}.",
            highlight=False,
            soft_wrap=True,
        )


def fail_with(report: BuildReport, as_json: bool) -> None:
    """Ends the command where a model was not built.

    Raises:
        BuildError: the first failure, `GateFailed` where it is one.
    """
    if not report.failed:
        return
    if as_json:
        raise typer.Exit(1)
    first = report.failed[0]
    kind = GateFailed if first.code == GateFailed.code else BuildError
    others = f" ({len(report.failed)} models failed)" if len(report.failed) > 1 else ""
    raise kind(f"{first.model}{others}: {first.reason}")
