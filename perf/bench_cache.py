"""`pixelis bench cache`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer()
PARTS = ("soak",)


@app.command("cache")
def cache(
    parts: Annotated[str, typer.Option(help=f"Comma-separated, of {', '.join(PARTS)}; default all.")] = "",
    seconds: Annotated[float, typer.Option(min=10, help="Of `soak`, with Redis; and as long without.")] = 600.0,
    every_s: Annotated[float, typer.Option("--kill-every-s", min=6, help="Of `soak`: between two kills.")] = 20.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Of `soak`: requests at once.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """What the caches save, and what they do while Redis fails.

    `soak`: mixed load, four fifths of it asked before, on a real server whose real Redis is killed again and again.

    Examples:

        pixelis bench cache --json

        pixelis bench cache --parts soak --seconds 60
    """
    from perf.cache.soak import soak
    from perf.machine import machine, versions
    from pixelis.errors import InvalidRequest
    from pixelis.schema import Measurement

    chosen = parts.split(",") if parts else list(PARTS)
    unknown = sorted(set(chosen) - set(PARTS))
    if unknown:
        raise InvalidRequest(f"--parts names {', '.join(unknown)}.", mend=f"Known: {', '.join(PARTS)}.")
    facts, quiet = machine(), not sys.stderr.isatty()
    rows, claims = soak(seconds, every_s, concurrency, quiet)
    command = shlex.join(["pixelis", *sys.argv[1:]])
    measured = Measurement(name="cache", command=command, machine=facts, versions=versions(), rows=rows, claims=claims)
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
        return
    for row in rows:
        typer.echo(", ".join(f"{name} {value}" for name, value in row.items()))
    for claim in claims:
        typer.echo(f"{claim.claim}: {claim.measured:g} ({'met' if claim.met else 'not met'})")
