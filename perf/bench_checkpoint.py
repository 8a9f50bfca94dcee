"""`pixelis bench checkpoint`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("checkpoint")
def checkpoint(
    checkpoint: Annotated[str, typer.Option(metavar="NAME", help="nano, 90m (random weights), or a folder.")] = "nano",
    parts: Annotated[
        str, typer.Option(metavar="NAMES", help="`all`, or names with commas between: build, equality, serve, swap.")
    ] = "all",
    prompts: Annotated[int, typer.Option(min=1, max=1000, help="Prompts that are decoded.")] = 50,
    tokens: Annotated[int, typer.Option(min=1, max=512, help="Tokens that each is continued by, at most.")] = 48,
    threads: Annotated[int, typer.Option(min=1, help="Threads of whatever computes.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """What holds of a checkpoint: that it builds within its budget (build), to transformers' greedy tokens (equality),
    is served (serve), and what it takes to swap it with another one (swap).

    Examples:

        pixelis bench checkpoint --parts equality --json

        pixelis bench checkpoint --checkpoint DIR --prompts 8

        pixelis bench checkpoint --parts swap --json

        pixelis bench checkpoint --checkpoint DIR --parts build --json

        pixelis bench checkpoint --checkpoint DIR --parts serve --prompts 3 --tokens 8 --json
    """
    from builder.commands.options import progress
    from perf.checkpoint.bench import PARTS, TITLES, measure
    from perf.checkpoint.part import Asked
    from perf.policy.checkpoint import decoded_checkpoint
    from perf.policy.words import parse_among
    from perf.tables import print_measurement
    from pixelis.settings import settings

    chosen = parse_among(parts, tuple(PARTS), "part")
    found = decoded_checkpoint(checkpoint, settings().state.absolute())
    with progress(quiet=False) as watch:
        asked = Asked(found.name, found.directory, prompts, tokens, threads, watch)
        measured = measure(chosen, asked, shlex.join(["pixelis", *sys.argv[1:]]))
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        print_measurement(measured, TITLES)
