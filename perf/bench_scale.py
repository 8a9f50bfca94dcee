"""`pixelis bench scale`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("scale")
def scale(
    parts: Annotated[
        str, typer.Option(metavar="NAMES", help="cache, log, balancer, replica, simulation; or `all`.")
    ] = "all",
    seconds: Annotated[float, typer.Option(min=0.2, help="About how long each load lasts.")] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, help="Of processes of ours; the least disturbed one counts.")] = 5,
    scenes: Annotated[int, typer.Option(min=1, help="New scenes that a replica is asked about, in a phase.")] = 12,
    measured: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What an earlier run printed with --json, for parts not measured now."),
    ] = None,
    learning: Annotated[str, typer.Option(help="Shares of new questions that are learned.")] = "0.05,0.2",
    answers: Annotated[
        float | None, typer.Option(min=0.001, help="New questions a second of a replica; by default as measured here.")
    ] = None,
    busy: Annotated[float, typer.Option(min=0.01, max=1, help="Share of its time that a replica works.")] = 0.7,
    network_gbit: Annotated[float, typer.Option(min=0.1, help="Of the machine that has the log.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Where what replicas share saturates, from 1 to 1 000 of them.

    What Redis, the log of experiences, nginx, the gateway and one replica cost is measured here, with real processes;
    then a simulation says how busy each is and how long one waits before it, and is held against real processes where
    those are few enough.

    Examples:

        pixelis bench scale --json > scale.json

        pixelis bench scale --parts simulation --measured scale.json --learning 0.5 --answers 20

        pixelis bench scale --parts cache,log --seconds 5
    """
    from builder.commands.options import progress
    from perf.policy.words import parse_among
    from perf.scale.bench import PARTS, Asked, measure
    from perf.scale.show import show

    asked = Asked(
        parts=parse_among(parts, PARTS, "part"),
        seconds=seconds,
        rounds=rounds,
        scenes=scenes,
        measured=measured,
        learning=_shares(learning),
        answers=answers,
        busy=busy,
        network_gbit=network_gbit,
        command=shlex.join(["pixelis", *sys.argv[1:]]),
    )
    with progress(quiet=False) as watch:
        found = measure(asked, lambda said: watch("bench scale", said))
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        show(found)


def _shares(text: str) -> list[float]:
    try:
        shares = [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        shares = [-1.0]
    if any(not 0 < share <= 1 for share in shares):
        raise typer.BadParameter("shares are more than 0 and at most 1, with commas between", param_hint="--learning")
    return shares
