"""`pixelis bench formats`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("formats")
def formats(
    models: Annotated[str, typer.Option(metavar="NAMES", help="`all`, or names with commas between.")] = "all",
    forms: Annotated[
        str, typer.Option("--formats", metavar="NAMES", help="`all`, or for instance onnx,openvino.")
    ] = "all",
    precisions: Annotated[str, typer.Option(metavar="NAMES", help="`all`, or for instance fp32,int8.")] = "all",
    checkpoint: Annotated[
        str, typer.Option(metavar="NAMES", help="nano, 90m (random weights), or folders; commas between.")
    ] = "nano,90m",
    goal: Annotated[str, typer.Option(help="What is chosen for: latency, throughput, memory or size.")] = "latency",
    max_accuracy_drop: Annotated[
        float, typer.Option(min=0, max=1, help="The most that a task may lose, in points of 1.")
    ] = 0.01,
    rounds: Annotated[int, typer.Option(min=1, help="How often the form and the original take their turn.")] = 5,
    turn_s: Annotated[float, typer.Option(min=0.001, help="About how long one turn takes, in seconds.")] = 0.2,
    buckets: Annotated[bool, typer.Option(help="Time every bucket of the axes that vary, too.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Measure again what this machine knows already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Every form of the models beside eager fp32 PyTorch, in turns, on one thread; nothing is published.

    What is not in the build cache is built and judged first; a form that its gate refuses is not measured.

    Examples:

        pixelis bench formats --models vision_encoder,policy --formats onnx --checkpoint nano

        pixelis bench formats --json
    """
    from builder.candidate import FORMATS, PRECISIONS, parse_choice
    from builder.commands.options import progress
    from builder.costing.timing import Turns
    from builder.measure import Plan
    from perf.formats.bench import Asked, bench
    from perf.formats.checkpoints import find_checkpoint
    from perf.formats.show import show
    from perf.formats.words import parse_goal, parse_names
    from pixelis.settings import settings

    asked = Asked(
        models=() if models == "all" else parse_names(models),
        formats=parse_choice(forms, FORMATS, "format"),
        precisions=parse_choice(precisions, PRECISIONS, "precision"),
        goal=parse_goal(goal),
        max_accuracy_drop=max_accuracy_drop,
        plan=Plan(Turns(rounds=rounds, turn_s=turn_s), buckets=buckets, force=force),
        command=shlex.join(["pixelis", *sys.argv[1:]]),
    )
    checkpoints = [find_checkpoint(name, settings().state) for name in parse_names(checkpoint)]
    with progress(quiet=False) as watch:
        measured = bench(asked, checkpoints, watch)
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        show(measured)
