"""`pixelis bench gateway`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated, Any

import typer

app = typer.Typer()

PARTS = ("overhead", "throughput", "streams")


@app.command("gateway")
def gateway(
    parts: Annotated[str, typer.Option(metavar="NAMES", help="overhead, throughput, streams; or `all`.")] = "all",
    rounds: Annotated[int, typer.Option(min=2, help="Turns of each way, of the overhead.")] = 1000,
    seconds: Annotated[float, typer.Option(min=1, help="How long streams are kept open; throughput: a tenth.")] = 600,
    streams: Annotated[int, typer.Option("--open", min=1, help="Streams that are open at once.")] = 500,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes of the gateway.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """What REST before Triton costs: time, throughput, and memory with many open streams.

    A Triton and a gateway of its own are started, with the models of the repository, and stopped.

    Examples:

        pixelis bench gateway --json

        pixelis bench gateway --parts overhead --rounds 50

        pixelis bench gateway --workers 2
    """
    from builder.commands.options import progress
    from perf.gateway import overhead, scene
    from perf.gateway.streams import streams as keep
    from perf.machine import machine, versions
    from perf.policy.words import parse_among
    from perf.tables import print_plain
    from pixelis.schema import Claim, Measurement

    chosen = parse_among(parts, PARTS, "part")
    pictures = [scene.picture(scene.EXAMPLE, seed) for seed in range(8)]
    rows: list[dict[str, Any]] = []
    claims: list[Claim] = []
    with progress(quiet=False) as watch, scene.scene(workers, max(streams, 256)) as running:
        if "overhead" in chosen:
            watch("bench gateway", "overhead")
            found, claimed = overhead.overhead(running, pictures[:4], pictures[4:], rounds)
            rows, claims = rows + found, claims + claimed
        if "throughput" in chosen:
            watch("bench gateway", "throughput")
            found, claimed = overhead.throughput(running, pictures[:4], min(seconds / 10, 10), 3)
            rows, claims = rows + found, claims + claimed
        if "streams" in chosen:
            watch("bench gateway", "streams")
            found, claimed = keep(running, pictures[0], streams, seconds)
            rows, claims = rows + found, claims + claimed
    rows = [{**row, "workers": workers} for row in rows]
    command = shlex.join(["pixelis", *sys.argv[1:]])
    measured = Measurement(
        name="bench gateway", command=command, machine=machine(), versions=versions(), rows=rows, claims=claims
    )
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
        return
    print_plain(measured)
