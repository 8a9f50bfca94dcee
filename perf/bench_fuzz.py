"""`pixelis bench fuzz`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

TITLES = {
    "cases": "What came back",
    "seconds": "How long it took",
    "memory": "Memory",
    "restart": "Restarts",
    "fault": "Faults",
}


@app.command("fuzz")
def fuzz(
    cases: Annotated[int, typer.Option(min=1, help="Requests to send.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds send equal cases.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 4,
    folder: Annotated[Path, typer.Option(file_okay=False, help="Where cases that fail are written.")] = Path(
        "fuzz-failures"
    ),
    replay: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A case that failed: only it is sent.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Odd and damaged pictures, bombs and malformed operations, to a server of its own, over gRPC, HTTP and JSON.

    Each answer is to be a result or a typed error that says that it is the caller's fault; the processes stay the
    same, and their memory does not grow on. Ends with 1 where that does not hold.

    Examples:

        pixelis bench fuzz --cases 1000 --seed 7

        pixelis bench fuzz --replay fuzz-failures/fuzz-7-123.json
    """
    from perf.fuzz.bench import Plan, measure
    from perf.tables import print_measurement
    from pixelis.settings import settings

    plan = Plan(
        cases=cases,
        seed=seed,
        at_once=concurrency,
        folder=folder,
        replay=replay,
        quiet=not sys.stderr.isatty(),
        command=shlex.join(["pixelis", *sys.argv[1:]]),
    )
    measured = measure(plan, settings())
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        print_measurement(measured, TITLES)
    if not all(claim.met for claim in measured.claims):
        raise typer.Exit(1)
