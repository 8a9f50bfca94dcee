"""`pixelis sweep`."""

from __future__ import annotations

import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from pixelis.errors import InvalidRequest

app = typer.Typer()


class Protocol(str, Enum):
    """What the requests travel by."""

    GRPC = "grpc"
    HTTP = "http"


@app.command("sweep")
def sweep(
    model: Annotated[str, typer.Argument(help="pixelis, knn, embed_image; another one needs --input-data.")],
    protocol: Annotated[Protocol, typer.Option(help="Protocol of the requests.")] = Protocol.GRPC,
    concurrency: Annotated[str, typer.Option(help="Comma-separated numbers of requests at once.")] = "1,4,8",
    request_count: Annotated[int, typer.Option(min=1, help="Measured requests at each concurrency.")] = 100,
    url: Annotated[str | None, typer.Option(help="host:port of a running server; default from the settings.")] = None,
    data: Annotated[
        Path | None,
        typer.Option("--input-data", exists=True, dir_okay=False, help="perf_analyzer's own JSON input file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Run the real perf_analyzer against a running server, with real requests.

    Example: pixelis sweep pixelis --protocol grpc --concurrency 1,4,8
    """
    from perf import perf_analyzer
    from perf.machine import machine, versions
    from perf.progress import bar
    from perf.requests import input_data
    from perf.sweep import Load
    from perf.sweep import sweep as run
    from pixelis.schema import Measurement
    from pixelis.settings import settings

    config, levels = settings(), _levels(concurrency)
    port = config.server.grpc_port if protocol is Protocol.GRPC else config.server.http_port
    load = Load(model, protocol.value, url or f"{config.server.host}:{port}", request_count)
    requests = data.absolute() if data is not None else input_data(model)
    tool = perf_analyzer.obtain(config.state)
    with bar(f"{model} over {protocol.value}", len(levels), quiet=as_json) as advance:
        rows = run(tool, load, requests, levels, advance)
    command = shlex.join(["pixelis", *sys.argv[1:]])
    made = {**versions(), "perf_analyzer": perf_analyzer.REQUIREMENT.partition("==")[2]}
    measured = Measurement(name="sweep", command=command, machine=machine(), versions=made, rows=rows)
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        _print(rows)


def _levels(text: str) -> list[int]:
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or min(levels) < 1:
        raise InvalidRequest(f"--concurrency {text!r} is not a list of positive numbers.", mend="For instance: 1,4,8.")
    return levels


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{rows[0]['model']} over {rows[0]['protocol']}, {rows[0]['requests']} requests a row")
    columns = [name for name in rows[0] if name not in ("model", "protocol", "requests")]
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(str(row.get(name, "")) for name in columns))
    Console().print(table)
