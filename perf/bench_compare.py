"""`pixelis bench compare`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("compare")
def compare(
    pairs: Annotated[int, typer.Option(min=40, help="Pairs of requests of a run, at most.")] = 400,
    real: Annotated[int, typer.Option(min=1, help="Runs of A = A, with new servers each.")] = 5,
    seeds: Annotated[int, typer.Option(min=10, help="Runs that are drawn from real pairs.")] = 100,
    slower: Annotated[float, typer.Option(min=0.001, max=1, help="By which share B takes longer.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """How often `pixelis compare` is right: where both sides are the same, and where one is slower.

    Two servers of the same repository are started, several times. Their pairs give the noise of runs that are drawn;
    then B answers later, for real.

    Examples:

        pixelis bench compare --json

        pixelis bench compare --pairs 200 --slower 0.1
    """
    from perf.compare.proof import measure
    from perf.tables import print_plain

    command = shlex.join(["pixelis", *sys.argv[1:]])
    measured = measure(pairs, real, seeds, slower, command, quiet=not sys.stderr.isatty())
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        print_plain(measured)
