"""`pixelis up`."""

from __future__ import annotations

import json
import sys
import threading
from typing import Annotated, Any

import typer

from pixelis.settings import settings

app = typer.Typer()


@app.command("up")
def up(
    replicas: Annotated[int | None, typer.Option(min=1, max=64, help="Default from the settings: 2.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="REST; default from the settings: 8080.")] = None,
    grpc_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Triton's gRPC; default from the settings: 8001.")
    ] = None,
    processors: Annotated[
        int | None, typer.Option(min=1, help="Bind each replica to so many of its own; default: not bound.")
    ] = None,
    prometheus: Annotated[
        bool | None, typer.Option("--prometheus/--no-prometheus", help="Default: where it is installed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what runs as one JSON object when ready.")] = False,
) -> None:
    """Start several replicas behind nginx, with shared caches and a shared log of experiences, until Ctrl-C.

    A replica is a Triton and a gateway. Both Redis, nginx and Prometheus are Debian's (apt-get install redis-server
    nginx prometheus). What dies is started again; a replica that does not answer gets no requests meanwhile.

    Examples:

        pixelis up --replicas 2

        pixelis up --replicas 4 --processors 8

        pixelis fleet add

        pixelis fleet roll
    """
    from server.commands import asked_by_signal
    from server.fleet.serving import serve

    config = settings()
    said: dict[str, Any] = {
        "replicas": replicas,
        "processors": processors,
        "port": port,
        "grpc_port": grpc_port,
        "prometheus": prometheus,
    }
    fleet = config.fleet.model_copy(update={name: value for name, value in said.items() if value is not None})
    asked = threading.Event()
    with asked_by_signal(asked):
        serve(config.model_copy(update={"fleet": fleet}), asked, _say, lambda running: _announce(running, as_json))
    if not as_json:
        typer.echo("stopped", err=True)


def _announce(fleet: Any, as_json: bool) -> None:
    from server.fleet.status import status

    found = status(fleet)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        typer.echo("ready; Ctrl-C stops it")
        for name, value in found["endpoints"].items():
            typer.echo(f"  {name:12}{value}")
        if fleet.watcher.missing:
            typer.echo("Prometheus is not installed: nothing is watched (apt-get install prometheus).", err=True)
    sys.stdout.flush()


def _say(line: str) -> None:
    typer.echo(f"fleet: {line}", err=True)
