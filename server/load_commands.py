"""`pixelis models load`: a running server takes up the newest version of a model."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from pixelis.errors import Unavailable
from pixelis.settings import settings

app = typer.Typer(no_args_is_help=True)


@app.command("load")
def load(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...")],
    server: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="gRPC of one server; default: every one of the state folder.")
    ] = "",
    key: Annotated[
        str, typer.Option(envvar="PIXELIS_REPOSITORY_KEY", help="Opens loading on --server; ours are known.")
    ] = "",
    timeout_s: Annotated[float, typer.Option(min=1, help="For one model.")] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Have a running server load the newest version beside the one that serves, which then gives way.

    Requests go on being answered; where the new version does not load, the old one stays.

    Examples:

        pixelis models load embed_image

        pixelis models load embed_image dynamics --server 127.0.0.1:8001
    """
    from server.loading import load_newest, targets

    found = targets(settings(), server, key)
    if not found:
        state = settings().state
        raise Unavailable(f"No server of the state folder {state} runs.", mend="Name one with --server HOST:PORT.")
    done = [one for target in found for one in load_newest(target, models, timeout_s)]
    if as_json:
        typer.echo(json.dumps({"loaded": [asdict(one) for one in done]}))
        return
    for one in done:
        typer.echo(f"{one.server}: {one.model} serves version {one.version}")
