"""`pixelis gateway`."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Annotated

import typer

from pixelis.errors import InvalidRequest, SetupError
from pixelis.settings import settings

app = typer.Typer()

CANARY_FILE = Path("gateway") / "canary.json"
"""In the state folder."""

EXAMPLES = """Examples:

pixelis gateway

pixelis gateway --port 9000 --triton localhost:8001

pixelis gateway --workers 4

pixelis gateway --triton stable:8001 --canary other:8001 --canary-share 0.1

pixelis gateway --keys keys.json --add-key alice --rate 60 --quota 5000 --expires 2027-01-31

pixelis gateway --keys keys.json --add-key bob --tenant alice

pixelis gateway --keys keys.json

curl -F image=@label.png -F question="What is written on the red label?" localhost:8080/infer
"""


@app.command("gateway", epilog=EXAMPLES)
def gateway(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default from the settings.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default from the settings: 8080.")] = None,
    triton: Annotated[str | None, typer.Option(help="host:port of Triton's gRPC; default from the settings.")] = None,
    canary: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="A second Triton, which some callers' questions go to.")
    ] = None,
    canary_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of callers; `pixelis canary` changes it while it serves.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes that serve; default 1.")] = None,
    keys: Annotated[Path | None, typer.Option(dir_okay=False, help="JSON file of API keys; none = no keys.")] = None,
    add_key: Annotated[str, typer.Option(metavar="NAME", help="Make a key, print it this once, and end.")] = "",
    rate: Annotated[float | None, typer.Option(min=0.1, help="With --add-key: its requests a minute.")] = None,
    quota: Annotated[int | None, typer.Option(min=1, help="With --add-key: its questions a day (UTC).")] = None,
    tenant: Annotated[
        str | None,
        typer.Option(help="With --add-key: whose experiences it shares; default: its own. '' = everybody's."),
    ] = None,
    expires: Annotated[str, typer.Option(metavar="DATE", help="With --add-key: its last day, as 2027-01-31.")] = "",
) -> None:
    """Serve REST before Triton: /infer, /batch_infer, /feedback, /health, /metrics, /stats, /openapi.json.

    Upon Ctrl-C or SIGTERM, what is under way ends first.
    """
    config = settings().gateway
    said: dict[str, object] = {"host": host, "port": port, "triton": triton, "workers": workers, "keys": keys}
    said |= {"canary": canary, "canary_share": canary_share}
    config = config.model_copy(update={name: value for name, value in said.items() if value is not None})
    if add_key:
        _add(config.keys, add_key, rate, expires, quota, tenant)
        return
    if rate is not None or expires or quota is not None or tenant is not None:
        raise InvalidRequest(
            "`--rate`, `--quota`, `--expires` and `--tenant` are of a new key.", mend="Name it: --add-key NAME."
        )
    from clients.gateway.opening import serve

    if config.canary_file is None:
        config = config.model_copy(update={"canary_file": settings().state / CANARY_FILE})
    serve(config, settings().limits, settings().state)


@app.command("canary")
def canary(
    share: Annotated[
        float | None, typer.Argument(min=0, max=1, help="Of callers, from 0 (stop it) to 1 (promote it).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The share as JSON on stdout.")] = False,
) -> None:
    """Say, or show, which share of callers a running gateway sends to its canary (`pixelis gateway --canary`).

    A caller stays where it is; a larger share takes more callers along.

    Examples:

        pixelis canary 0.2

        pixelis compare stable:8001 canary:8001 --promote
    """
    from clients.gateway.split import read_share, write_share

    config = settings().gateway
    file = config.canary_file or settings().state / CANARY_FILE
    if share is not None:
        write_share(file, share)
    found = read_share(file, config.canary_share)
    typer.echo(json.dumps({"share": found}) if as_json else f"The canary has {found:g} of all callers.")


def _add(path: Path | None, name: str, rate: float | None, expires: str, quota: int | None, tenant: str | None) -> None:
    from clients.gateway.keys import add

    if path is None:
        raise SetupError("There is no file for keys.", mend="Name it: --keys keys.json.")
    try:
        last = datetime.date.fromisoformat(expires) if expires else None
    except ValueError:
        raise InvalidRequest(f"{expires!r} is no date.", mend="As 2027-01-31.") from None
    typer.echo(add(path, name, rate, last, quota, tenant))
