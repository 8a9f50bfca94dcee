"""`pixelis cache`: `stats`, `clear`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from pixelis.errors import InvalidRequest, SetupError

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="One object on stdout.")]


@app.command("stats")
def stats(as_json: AsJson = False) -> None:
    """What is cached and how often it is asked for, by process and thing, as the server's processes wrote it last.

    Examples:

        pixelis cache stats

        pixelis cache stats --json | jq '.processes[].caches.request.top'
    """
    from pixelis.settings import settings
    from python_backends.caching.operating import stats as found

    now = found(settings())
    if as_json:
        typer.echo(json.dumps(now, indent=2))
    elif not now["processes"] and not now["shared"]:
        typer.echo("No process has written anything here yet: is a server running on this state folder?")
    else:
        _show(now)


@app.command("clear")
def clear(
    thing: Annotated[
        str, typer.Option(metavar="NAME", help="request, reward, image, text, vision, search, operation; default all.")
    ] = "",
    version: Annotated[
        str, typer.Option(metavar="MODEL-VERSION", help="Only what this version of a model made: policy-3.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Forget what is cached, in Redis, on disk and, within a second, in every process of the server.

    Examples:

        pixelis cache clear

        pixelis cache clear --thing request --version policy-3
    """
    from pixelis.settings import settings
    from python_backends.caching.operating import THINGS
    from python_backends.caching.operating import clear as forget
    from python_backends.caching.orders import Order

    if thing and thing not in THINGS:
        raise InvalidRequest(f"There is no cache of {thing!r}.", mend=f"There are {', '.join(THINGS)}.")
    if version and "-" not in version:
        raise InvalidRequest(f"{version!r} is no version of a model.", mend="For instance policy-3.")
    try:
        gone = forget(settings(), Order(prefix=thing or None, version=version or None))
    except OSError as error:
        raise SetupError(
            f"The server's processes cannot be told: {error}.", mend="Can the state folder be written?"
        ) from None
    if as_json:
        typer.echo(json.dumps({"removed": gone, "processes": "told"}))
        return
    for tier, count in gone.items():
        typer.echo(f"{tier}: {count} entries removed")
    typer.echo("memory: every process of the server on this state folder forgets within a second")


def _show(now: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Memory, by process")
    for name in ("process", "cache", "asked", "hit rate", "entries", "bytes", "computed", "waited for", "errors"):
        table.add_column(name, justify="left" if name in ("process", "cache") else "right")
    for process, written in now["processes"].items():
        for cache, one in written["caches"].items():
            memory = one["tiers"]["memory"]
            errors = sum(tier["errors"] for tier in one["tiers"].values())
            numbers = (
                one["asked"],
                one["hit_rate"],
                memory["entries"],
                memory["bytes"],
                one["computed"],
                one["shared"],
            )
            table.add_row(process, cache, *("-" if value is None else str(value) for value in numbers), str(errors))
    console = Console(width=max(Console().width, 110))
    console.print(table)
    for one in now["shared"]:
        console.print(f"{one['tier']}: {one['cache']}: {one['entries']} entries, {one['bytes']} bytes")
