"""`pixelis bench soak`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("soak")
def soak(
    minutes: Annotated[float, typer.Option(min=1, help="Of load; the first third warms up.")] = 30.0,
    replicas: Annotated[int, typer.Option(min=1, max=8, help="Behind the balancer.")] = 2,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where something grows or failed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Put a fleet under mixed load, and say whether memory, /dev/shm, open files or threads grow.

    Questions over REST, streams and gRPC, half of them open to caches, and experiences that are learned. A growth is
    the slope of a line through the time after warming up (Theil and Sen), with its interval of 95 %.

    Examples:

        pixelis bench soak --json

        pixelis bench soak --minutes 6 --replicas 1
    """
    from perf.soak.run import measure
    from perf.tables import print_plain

    command = shlex.join(["pixelis", *sys.argv[1:]])
    measured = measure(minutes, replicas, command, quiet=not sys.stderr.isatty())
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        print_plain(measured)
    if strict and not all(claim.met for claim in measured.claims):
        raise typer.Exit(1)
