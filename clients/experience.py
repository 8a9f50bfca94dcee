"""`pixelis experience stats`."""

from __future__ import annotations

import json

import typer

from clients.commands import Json, ProtocolOption, Url, connect

app = typer.Typer()


@app.command("stats")
def stats(as_json: Json = False, url: Url = None, protocol: ProtocolOption = "grpc") -> None:
    """How many experiences there are, how many of them feedback confirmed, and how they are indexed.

    Example: pixelis experience stats --json
    """
    with connect(url, protocol) as client:
        found = client.stats()
    if as_json:
        typer.echo(json.dumps(found.stats))
        return
    for name, value in found.stats.items():
        shown = ", ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, dict) else value
        typer.echo(f"{name:<22}{shown}")
