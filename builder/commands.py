"""`pixelis build`, `pixelis models`, `pixelis lint`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from builder import show
from builder.build import BuildReport
from builder.build import build as run_build
from builder.lint import lint as run_lint
from builder.making import Watch
from builder.spec import pipeline
from builder.store import Store
from builder.triton_config import Target
from pixelis.errors import BuildError, GateFailed, SetupError
from pixelis.settings import settings

app = typer.Typer(no_args_is_help=True)
models_app = typer.Typer(no_args_is_help=True, help="The models of the pipeline and their published versions.")
app.add_typer(models_app, name="models")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Repository = Annotated[
    Path | None, typer.Option("--repository", metavar="DIR", help="A repository elsewhere; it is written whole.")
]
Written = Annotated[
    Path | None, typer.Option("--repository", metavar="DIR", help="A repository elsewhere; default from the settings.")
]
ForTarget = Annotated[str, typer.Option("--target", help="`embedded`, or `ngc` for a full Triton image.")]


@app.command()
def build(
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Default: all.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Make again what is up to date.")] = False,
    repository: Repository = None,
    target: ForTarget = "embedded",
    as_json: Json = False,
) -> None:
    """Make what is not up to date: export, optimise, judge, publish.

    Examples:

        pixelis build

        pixelis build embed_image ocr_detect --force

        pixelis build --target ngc --repository /srv/models
    """
    with _progress(quiet=as_json) as watch:
        report = run_build(models or (), force=force, repository=repository, target=_target(target), watch=watch)
    if as_json:
        typer.echo(report.model_dump_json())
    else:
        _print_build(report)
    if report.failed:
        first = report.failed[0]
        if as_json:
            raise typer.Exit(1)
        kind = GateFailed if first.code == GateFailed.code else BuildError
        others = f" ({len(report.failed)} models failed)" if len(report.failed) > 1 else ""
        raise kind(f"{first.model}{others}: {first.reason}")


def _target(text: str) -> Target:
    if text == "embedded" or text == "ngc":
        return "embedded" if text == "embedded" else "ngc"
    raise typer.BadParameter("it is `embedded` or `ngc`", param_hint="--target")


@contextmanager
def _progress(quiet: bool) -> Iterator[Watch]:
    """Says on standard error which model is in which stage."""
    if quiet:
        yield lambda model, stage: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("build", total=None)
        yield lambda model, stage: progress.update(task, description=f"{model}: {stage}")


def _print_build(report: BuildReport) -> None:
    console = Console()
    table = Table(box=None, header_style="bold")
    for column in ("model", "state", "version", "digest", "seconds"):
        table.add_column(column, justify="right" if column in ("version", "seconds") else "left")
    for outcome in report.models:
        version, digest = str(outcome.version or "-"), (outcome.digest or "-")[:12]
        table.add_row(outcome.model, outcome.state, version, digest, f"{outcome.seconds:.1f}")
    console.print(table)
    for outcome in report.models:
        if outcome.state == "absent":
            console.print(f"{outcome.model}: {outcome.reason}.", highlight=False, soft_wrap=True)
    if report.written:
        console.print(f"config.pbtxt written: {', '.join(report.written)}.", highlight=False)
    if not report.worked:
        console.print(f"Nothing to do: everything is up to date ({report.seconds:.1f} s).", highlight=False)


@models_app.command("list")
def list_models(repository: Written = None, as_json: Json = False) -> None:
    """Every model with its newest version.

    Example: pixelis models list --json
    """
    store = Store(_existing(repository), settings().state)
    rows = [show.summary(store, spec) for spec in pipeline().models]
    if as_json:
        _echo({"repository": str(store.repository), "models": [row.model_dump() for row in rows]})
        return
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for column in ("model", "kind", "version", "format", "precision", "gate", "MiB", "digest"):
        justify: Literal["left", "right"] = "right" if column in ("version", "MiB") else "left"
        table.add_column(column, justify=justify, no_wrap=column != "gate")
    for row in rows:
        table.add_row(*row.cells())
    Console().print(table)


@models_app.command("show")
def show_model(
    name: str,
    version: Annotated[int | None, typer.Option(help="Default: the newest.")] = None,
    repository: Written = None,
    as_json: Json = False,
) -> None:
    """What a version is made of, and what the gate measured.

    Examples:

        pixelis models show embed_image

        pixelis models show policy --version 2 --json
    """
    store = Store(_existing(repository), settings().state)
    spec = pipeline()[name]
    if not spec.built:
        summary = show.summary(store, spec)
        if as_json:
            _echo(summary.model_dump())
        else:
            typer.echo(f"{name} ({spec.kind}) is served from its code and has no artifact.")
        return
    manifest = store.manifest(name, version)
    if as_json:
        _echo({**manifest.model_dump(), "digest": manifest.digest})
    else:
        show.print_manifest(Console(), manifest)


@app.command()
def lint(repository: Written = None, target: ForTarget = "embedded", as_json: Json = False) -> None:
    """Hold configs, graphs, shims and manifests against the contract.

    Example: pixelis lint --json
    """
    findings = run_lint(_existing(repository), target=_target(target))
    errors = [finding for finding in findings if finding.severity == "error"]
    if as_json:
        _echo({"findings": [finding.model_dump() for finding in findings], "errors": len(errors)})
    else:
        console = Console()
        for finding in findings:
            colour = "red" if finding.severity == "error" else "yellow"
            console.print(f"[{colour}]{finding.severity}[/] {finding.model} ({finding.rule}): ", end="")
            console.print(f"{finding.message} {finding.mend}", markup=False, highlight=False)
        console.print("No findings." if not findings else f"{len(findings)} findings, {len(errors)} of them errors.")
    if errors:
        raise typer.Exit(1)


def _existing(repository: Path | None) -> Path:
    """The repository to look at. Raises `SetupError` where there is none."""
    found = repository or settings().repository
    if not found.is_dir():
        mend = "Name it with --repository or PIXELIS_REPOSITORY, or make it with `pixelis build`."
        raise SetupError(f"There is no model repository at {found}.", mend=mend)
    return found


def _echo(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value))
