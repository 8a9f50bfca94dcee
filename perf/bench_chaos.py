"""`pixelis bench chaos`."""

from __future__ import annotations

import logging
import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("chaos")
def chaos(
    only: Annotated[str, typer.Option(metavar="WORDS", help="Faults whose names contain one of these words.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where one did not end as expected.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Break a fleet of two replicas, one thing after the other, while people ask it: what do they see?

    It is started for this, on free ports, and ended afterwards. Some faults need root (a full disk, a cut network);
    without it they are told as not run.

    Examples:

        pixelis bench chaos

        pixelis bench chaos --only killed --json
    """
    from perf.chaos.faults import chosen
    from perf.chaos.run import measure
    from perf.chaos.show import show

    logging.basicConfig(format="%(message)s")
    logging.getLogger("perf.chaos").setLevel(logging.INFO)  # it takes long: each fault is told when it is over
    command = shlex.join(["pixelis", *sys.argv[1:]])
    measured = measure(chosen(only), command, quiet=not sys.stderr.isatty())
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        show(measured)
    if strict and not all(claim.met for claim in measured.claims):
        raise typer.Exit(1)
