"""`pixelis fleet`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from pixelis.settings import settings

app = typer.Typer()
_AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.command("status")
def status(as_json: _AsJson = False) -> None:
    """What runs, since when, how often it was started again, and who gets requests.

    Examples:

        pixelis fleet status
    """
    found = _order("status", [])
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found["endpoints"].items():
        typer.echo(f"{name:14}{value}")
    for one in found["replicas"]:
        does = "gets requests" if one["gets_requests"] else "gets no requests"
        typer.echo(f"replica {one['replica']:<6}{does}; gateway {one['gateway']}, gRPC {one['grpc']}")
    for part in found["parts"]:
        again = f", started again {part['restarts']} times" if part["restarts"] else ""
        typer.echo(f"{part['part']:14}{part['state']} for {part['for_s']:.0f} s, process {part['pid']}{again}")


@app.command("add")
def add(as_json: _AsJson = False) -> None:
    """One more replica; it takes requests when it is ready.

    Examples:

        pixelis fleet add
    """
    _done(_order("add", []), as_json)


@app.command("remove")
def remove(
    replica: Annotated[int, typer.Argument(min=1, help="Its number.")],
    as_json: _AsJson = False,
) -> None:
    """One replica less: it gets no more requests, those under way end, then it ends.

    Examples:

        pixelis fleet remove 2
    """
    _done(_order("remove", [replica]), as_json)


@app.command("roll")
def roll(
    replicas: Annotated[list[int] | None, typer.Argument(help="Numbers; default: all, one after the other.")] = None,
    as_json: _AsJson = False,
) -> None:
    """Start replicas anew, one after the other, with the versions that the repository has now; no request fails.

    Examples:

        pixelis build && pixelis fleet roll

        pixelis fleet roll 2
    """
    _done(_order("roll", replicas or []), as_json)


def _order(what: str, numbers: list[int]) -> dict[str, Any]:
    from server.fleet.orders import order
    from server.fleet.places import Places

    config = settings()
    found: dict[str, Any] = {}
    for line in order(Places(config.fleet, config.state / "fleet").socket, what, numbers):
        if isinstance(line, dict):
            found = line
        else:
            typer.echo(line, err=True)
    return found


def _done(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"done": True, **found}))
