"""`pixelis bench replicas`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("replicas")
def replicas(
    rounds: Annotated[int, typer.Option(min=1, help="Of one and two, in turns.")] = 3,
    scenes: Annotated[int, typer.Option(min=4, help="Of a round; four new questions each.")] = 16,
    processors: Annotated[int | None, typer.Option(min=1, help="Bind each replica to so many of its own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """What a second replica behind the balancer gives, and whether both share what they know.

    Sixteen questions at a time. Where one replica keeps all processors busy, a second one cannot give more: how busy
    they were is beside each figure. Bound to a processor of its own, one replica leaves the others idle: what a
    second one gives on them.

    Examples:

        pixelis bench replicas --json

        pixelis bench replicas --processors 1
    """
    from perf.replicas.run import measure
    from perf.tables import print_plain

    command = shlex.join(["pixelis", *sys.argv[1:]])
    measured = measure(rounds, scenes, processors, command, quiet=not sys.stderr.isatty())
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        print_plain(measured)
