"""`pixelis tune pipeline`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelis.errors import InvalidRequest

if TYPE_CHECKING:
    from perf.tuning.run import Tuned
    from pixelis.settings import Settings

app = typer.Typer()


@app.command("pipeline")
def pipeline(
    minutes: Annotated[float, typer.Option(min=0.1, help="The whole may take; another run goes on.")] = 10.0,
    at_once: Annotated[
        int, typer.Option(min=1, max=64, help="Requests in flight: 1 makes latency small, more throughput large.")
    ] = 4,
    repeats: Annotated[float, typer.Option(min=0, max=0.95, help="Share of requests asked before.")] = 0.0,
    families: Annotated[str | None, typer.Option(metavar="NAMES", help="Of questions; default all.")] = None,
    p99_ms: Annotated[float | None, typer.Option(min=1, help="Most, of a request.")] = None,
    memory_mb: Annotated[float | None, typer.Option(min=1, help="Most that all processes may take, in MiB.")] = None,
    accuracy_drop: Annotated[
        float, typer.Option("--max-accuracy-drop", min=0, max=1, help="Most that may be lost, in points of 1.")
    ] = 0.01,
    only: Annotated[
        str, typer.Option(metavar="NAMES", help="Beginnings of knobs' names with commas: decoding,form.policy.")
    ] = "",
    anew: Annotated[bool, typer.Option("--anew", help="Forget what earlier runs found.")] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="If something better is found, serve it from now on: settings and builds.")
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write what is found as TOML for PIXELIS_CONFIG."),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", dir_okay=False, help="Write a report here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Search settings, processes, queue delays and forms of the whole pipeline, each served beside what is served now.

    Both are asked the same new questions in turns. Every change is tried alone, then those that are worth something
    together, then what Optuna makes of it. The best is compared once more, on questions that it was not chosen by, in
    time, answers and accuracy. Forms of models are those that the build cache holds and that passed their gate
    (`pixelis build --formats all --precisions all` makes all of them).

    Examples:

        pixelis tune pipeline --html tuning.html

        pixelis tune pipeline --at-once 1 --memory-mb 1500 --minutes 30 --apply

        pixelis tune pipeline --only form,decoding --repeats 0.8 --json
    """
    from builder.commands.options import progress
    from builder.nano.questions import FAMILIES
    from perf.e2e.questions import families as parsed
    from perf.tuning.report import page
    from perf.tuning.run import Asked, Limits, tune
    from perf.tuning.workload import Workload
    from pixelis.settings import settings

    names = tuple(part.strip() for part in only.split(",") if part.strip())
    asked = Asked(
        load=Workload(at_once, repeats, tuple(parsed(families or ",".join(FAMILIES)))),
        limits=Limits(p99_ms, memory_mb, accuracy_drop),
        seconds=60 * minutes,
        only=names,
        anew=anew,
        command=shlex.join(["pixelis", *sys.argv[1:]]),
    )
    config = settings()
    with progress(quiet=False) as watch:
        tuned = tune(asked, config, lambda said: watch("tune pipeline", said), quiet=True)
    if html is not None:
        html.write_text(page(tuned.measured), encoding="utf-8")
    if as_json:
        typer.echo(tuned.measured.model_dump_json(indent=2))
    else:
        _print(tuned)
    _use(tuned, config, write, apply)


def _print(tuned: Tuned) -> None:
    from perf.tables import print_claims, row_table, wide_console
    from perf.tuning.report import explained

    console = wide_console()
    rows = tuned.measured.rows
    tried = [row for row in rows if row["row"] == "knob" and "ratio" in row]
    if tried:
        console.print(row_table("What each knob is worth alone (time as a multiple of what is served)", tried))
    sides = [row for row in rows if row["row"] == "side"]
    if sides:
        console.print(row_table("The best (B) against what is served (A)", sides))
    for line in explained(tuned.measured):
        console.print(line, highlight=False, soft_wrap=True)
    print_claims(console, tuned.measured.claims)


def _use(tuned: Tuned, config: Settings, write: Path | None, apply: bool) -> None:
    from builder.commands.modes import fail_with
    from builder.commands.options import progress
    from perf.settings_file import toml
    from perf.tuning.apply import apply as applied
    from pixelis.settings import TUNED

    if tuned.choice is None or not (apply or write):
        return
    if write is not None:
        write.write_text(toml(tuned.choice.settings), encoding="utf-8")
        typer.echo(f"written to {write}: set PIXELIS_CONFIG={write} and run `pixelis build`", err=True)
        for model, label in tuned.choice.forms.items():
            typer.echo(f"and `pixelis build {model} --publish {label}`", err=True)
    if not apply:
        return
    if not tuned.better:
        raise InvalidRequest("Nothing better was found, so nothing was applied.", mend="Run it again: it goes on.")
    verdict = next(row for row in tuned.measured.rows if row["row"] == "verdict")
    with progress(quiet=False) as watch:
        why = f"tune pipeline: {verdict['less_time_%']:g} % less time than before"
        report = applied(tuned.choice, why, config.state, watch)
    fail_with(report, as_json=False)
    typer.echo(f"{config.state / TUNED} and the repository are changed; start the server anew.", err=True)
