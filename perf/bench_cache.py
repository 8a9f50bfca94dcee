"""`pixelis bench cache`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("cache")
def cache(
    parts: Annotated[
        str, typer.Option(metavar="NAMES", help="latency, zipf, repeats, reward, served, soak; `all`: all but soak.")
    ] = "all",
    redis: Annotated[str | None, typer.Option(metavar="URL", help="A Redis for `latency`; none = its own.")] = None,
    seconds: Annotated[float, typer.Option(min=10, help="Of `soak`, with Redis; and as long without.")] = 600.0,
    every_s: Annotated[float, typer.Option("--kill-every-s", min=6, help="Of `soak`: between two kills.")] = 20.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Of `soak`: requests at once.")] = 4,
    quick: Annotated[bool, typer.Option("--quick", help="Little work: does all of it run?")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """What the caches cost and save, and what they do while Redis fails.

    `latency` times hits and misses in memory, in a real Redis and on disk; `zipf` compares the policies with the best
    static content and with the offline optimum; `repeats` asks most things again; `reward` and `served` time a
    trajectory of ten steps, new and seen before, in a process and through a Triton of their own. `soak`: mixed load,
    four fifths of it asked before, on a real server whose real Redis is killed again and again; 20 minutes by default.

    Examples:

        pixelis bench cache --json > cache.json

        pixelis bench cache --parts latency,zipf --redis redis://127.0.0.1:6379/0

        pixelis bench cache --parts soak --seconds 60
    """
    from builder.commands.options import progress
    from perf.cache.bench import PARTS, Asked, measure
    from perf.cache.show import show
    from perf.policy.words import parse_among
    from pixelis.settings import settings

    asked = Asked(
        parts=parse_among(parts, PARTS, "part", ("soak",)),
        redis=redis,
        seconds=seconds,
        every_s=every_s,
        concurrency=concurrency,
        quick=quick,
        command=shlex.join(["pixelis", *sys.argv[1:]]),
    )
    with progress(quiet=False) as watch:
        measured = measure(asked, settings(), lambda said: watch("bench cache", said))
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        show(measured)
