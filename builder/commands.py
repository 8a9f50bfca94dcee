"""`pixelis build` and `pixelis lint`."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console

from builder.build import BuildReport
from builder.build import build as run_build
from builder.build_candidates import build_candidates
from builder.candidate import FORMATS, PRECISIONS, parse_choice
from builder.chosen import Choice
from builder.cli_options import ForTarget, Json, Repository, Written, echo, existing, parse_target, progress, table
from builder.lint import lint as run_lint
from builder.pipeline import Pipeline
from builder.show_candidates import complain, print_rows
from builder.spec import pipeline
from pixelis.errors import BuildError, GateFailed

app = typer.Typer(no_args_is_help=True)


@app.command()
def build(
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Default: all.")] = None,
    these: Annotated[str, typer.Option("--models", metavar="NAMES", help="`all`, or names with commas between.")] = "",
    formats: Annotated[
        str, typer.Option(metavar="NAMES", help=f"Build candidates into the cache: `all`, or of {', '.join(FORMATS)}.")
    ] = "",
    precisions: Annotated[
        str, typer.Option(metavar="NAMES", help=f"Only these candidates: `all`, or of {', '.join(PRECISIONS)}.")
    ] = "",
    publish: Annotated[
        str, typer.Option(metavar="LABEL", help="Publish one model in this form, from now on: `openvino-fp32`.")
    ] = "",
    default: Annotated[
        bool, typer.Option("--default", help="Back to the spec's form, whatever was chosen or rolled back to.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Make again what is up to date; ends a rollback's hold.")
    ] = False,
    repository: Repository = None,
    target: ForTarget = "embedded",
    as_json: Json = False,
) -> None:
    """Make what is not up to date: export, optimise, judge, publish.

    With --formats or --precisions every such form of the models is built and judged into the build cache, and nothing
    is published; --publish serves one of them.

    Examples:

        pixelis build

        pixelis build embed_image ocr_detect --force

        pixelis build --models all --formats all

        pixelis build dynamics --formats onnx,openvino --precisions fp32,int8

        pixelis build dynamics --publish openvino-fp32

        pixelis build dynamics --default

        pixelis build --target ngc --repository /srv/models
    """
    names, where = _names(models or [], these, pipeline()), parse_target(target)
    candidates = bool(formats or precisions)
    if candidates and (publish or default):
        raise typer.BadParameter("goes without --publish and --default: it publishes nothing", param_hint="--formats")
    if publish and default:
        raise typer.BadParameter("names a form, and --default the spec's", param_hint="--publish")
    if publish and len(names) != 1:
        raise typer.BadParameter("is the form of one model: name that", param_hint="--publish")
    if candidates:
        wanted = (
            parse_choice(formats or "all", FORMATS, "format"),
            parse_choice(precisions or "all", PRECISIONS, "precision"),
        )
        with progress(quiet=as_json) as watch:
            rows = build_candidates(names, *wanted, force=force, repository=repository, watch=watch)
        if as_json:
            echo(rows.model_dump())
        else:
            print_rows(Console(), rows)
        complain(rows, pipeline(), as_json)
        return
    forms = {names[0]: _choice(names[0], publish)} if publish else {}
    with progress(quiet=as_json) as watch:
        report = run_build(
            names, force=force, default=default, forms=forms, repository=repository, target=where, watch=watch
        )
    _tell(report, as_json)


def _names(listed: list[str], joined: str, known: Pipeline) -> list[str]:
    """Models as arguments or after --models; none for all of them. An unknown one is refused later, by name."""
    names = [name.strip() for name in joined.split(",") if name.strip()]
    return [] if names == ["all"] else [*listed, *names]


def _choice(model: str, label: str) -> Choice:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return Choice(label=label, why=f"`pixelis build {model} --publish {label}` on {day}")


def _tell(report: BuildReport, as_json: bool) -> None:
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


def _print_build(report: BuildReport) -> None:
    console = Console()
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
    if not report.worked:
        console.print(f"Nothing to do: everything is up to date ({report.seconds:.1f} s).", highlight=False)


@app.command()
def lint(repository: Written = None, target: ForTarget = "embedded", as_json: Json = False) -> None:
    """Hold configs, graphs, shims and manifests against the contract.

    Example: pixelis lint --json
    """
    findings = run_lint(existing(repository), target=parse_target(target))
    errors = [finding for finding in findings if finding.severity == "error"]
    if as_json:
        echo({"findings": [finding.model_dump() for finding in findings], "errors": len(errors)})
    else:
        console = Console()
        for finding in findings:
            colour = "red" if finding.severity == "error" else "yellow"
            console.print(f"[{colour}]{finding.severity}[/] {finding.model} ({finding.rule}): ", end="")
            console.print(f"{finding.message} {finding.mend}", markup=False, highlight=False)
        console.print("No findings." if not findings else f"{len(findings)} findings, {len(errors)} of them errors.")
    if errors:
        raise typer.Exit(1)
