"""`pixelis profile`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("profile")
def profile(
    requests: Annotated[int, typer.Option(min=1, help="Questions that are asked while spans are written.")] = 36,
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Requests in flight.")] = 1,
    url: Annotated[
        str | None,
        typer.Option(help="host:port of a server on this machine, with the same state folder; none = one is started."),
    ] = None,
    families: Annotated[str | None, typer.Option(metavar="NAMES", help="Of questions; default all.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", dir_okay=False, help="Write a report here: pictures, one page, no script.")
    ] = None,
    spans: Annotated[
        Path | None, typer.Option("--otlp", dir_okay=False, help="Write the spans here, for OpenTelemetry's tools.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", exists=True, dir_okay=False, help="What an older `profile --json` printed."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Where the time of requests goes, and what mending it would give.

    New questions are asked of a server; its processes write what they did when. What mending would give is computed by
    a replay of what was seen, without the time that it would take away.

    Examples:

        pixelis profile --html profile.html

        pixelis profile --json > before.json; pixelis profile --compare before.json

        pixelis profile --at-once 4 --requests 100

        pixelis profile --url localhost:8001
    """
    from perf.profile.changes import read
    from perf.profile.otlp import otlp
    from perf.profile.page import page
    from perf.profile.run import Plan
    from perf.profile.run import profile as run
    from perf.tables import print_measurement

    older = read(compare) if compare else None
    command = shlex.join(["pixelis", *sys.argv[1:]])
    found = run(Plan(url, requests, at_once, families, older, command), quiet=not sys.stderr.isatty())
    if html is not None:
        html.write_text(page(found.measured, found.trees, found.memory), encoding="utf-8")
    if spans is not None:
        spans.write_text(json.dumps(otlp(found.trees)), encoding="utf-8")
    if as_json:
        typer.echo(found.measured.model_dump_json(indent=2))
        return
    print_measurement(found.measured, TITLES, hidden=("suggestion", "spans"))
    for row in found.measured.rows:
        if row["row"] == "bottleneck":
            typer.echo(f"{row['component']}, {row['kind']}: {row['suggestion']}")


TITLES = {
    "request": "Requests",
    "bottleneck": "What mending would give",
    "change": "Against the older profile",
    "component": "Components: of a call with its children, and its own time a request",
    "layers": "Layers of one forward pass, beside what one thread of this machine can do",
    "ceilings": "What it can do",
    "memory": "Memory",
}
