"""`pixelis sweep`."""

from __future__ import annotations

import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelis.errors import InvalidRequest

if TYPE_CHECKING:
    from perf.sweep.load import Arrivals
    from pixelis.schema import Measurement

app = typer.Typer()


class Protocol(str, Enum):
    """What the requests travel by."""

    GRPC = "grpc"
    HTTP = "http"


class Distribution(str, Enum):
    """Of the time between two requests that are sent at a rate."""

    POISSON = "poisson"
    CONSTANT = "constant"


class SharedMemory(str, Enum):
    """What tensors go through."""

    NONE = "none"
    SYSTEM = "system"


@app.command("sweep")
def sweep(
    model: Annotated[str, typer.Argument(help="pixelis, agent, knn, embed_image; another one needs --input-data.")],
    protocol: Annotated[Protocol, typer.Option(help="Protocol of the requests.")] = Protocol.GRPC,
    concurrency: Annotated[
        str | None, typer.Option(help="Requests at once, with commas; 1,4,8 without a rate.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option("--request-rate", help="Instead: requests sent a second, with commas between.")
    ] = None,
    distribution: Annotated[
        Distribution, typer.Option(help="Of the time between two requests, with --request-rate.")
    ] = Distribution.POISSON,
    request_count: Annotated[int, typer.Option(min=1, help="Measured requests at each level.")] = 100,
    attempts: Annotated[int, typer.Option(min=1, max=20, help="Measurements of a level, until one has settled.")] = 3,
    shared_memory: Annotated[SharedMemory, typer.Option(help="For tensors.")] = SharedMemory.NONE,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="By gRPC streams, as decoupled models want; `agent` always.")
    ] = False,
    url: Annotated[str | None, typer.Option(help="host:port of a running server; default from the settings.")] = None,
    data: Annotated[
        Path | None,
        typer.Option("--input-data", exists=True, dir_okay=False, help="perf_analyzer's own JSON input file."),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", dir_okay=False, help="Write a report here.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", dir_okay=False, help="Write the rows here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Run the real perf_analyzer against a running server, with real requests.

    A level whose requests were not answered alike all along is measured again, and told as not stable in the end.

    Examples:

        pixelis sweep pixelis --protocol grpc --concurrency 1,4,8

        pixelis sweep pixelis --request-rate 2,5,10,20 --html sweep.html

        pixelis sweep embed_image --shared-memory system --json
    """
    from perf import perf_analyzer
    from perf.machine import machine, versions
    from perf.policy.words import parse_levels
    from perf.progress import bar
    from perf.requests import input_data
    from perf.sweep.load import Load
    from perf.sweep.page import as_csv, page
    from perf.sweep.run import sweep as run
    from pixelis.schema import Measurement
    from pixelis.settings import settings

    if concurrency is not None and rate is not None:
        raise InvalidRequest("--concurrency and --request-rate are both said.", mend="Say one of them.")
    arrivals: Arrivals = "closed" if rate is None else distribution.value
    levels = _rates(rate) if rate is not None else [float(one) for one in parse_levels(concurrency or "1,4,8")]
    streaming = streaming or model == "agent"
    if streaming and protocol is not Protocol.GRPC:
        raise InvalidRequest("Streams go by gRPC.", mend="Leave --protocol out.")
    config = settings()
    port = config.server.grpc_port if protocol is Protocol.GRPC else config.server.http_port
    target = url or f"{config.server.host}:{port}"
    load = Load(model, protocol.value, target, request_count, arrivals, shared_memory.value, streaming)
    requests = data.absolute() if data is not None else input_data(model)
    tool = perf_analyzer.obtain(config.state)
    with bar(f"{model} over {protocol.value}", len(levels), quiet=as_json) as advance:
        rows = run(tool, load, requests, levels, advance, attempts)
    command = shlex.join(["pixelis", *sys.argv[1:]])
    made = {**versions(), "perf_analyzer": tool.version}
    measured = Measurement(name="sweep", command=command, machine=machine(), versions=made, rows=rows)
    for path, written in ((html, page), (csv, as_csv)):
        if path is not None:
            path.write_text(written(measured), encoding="utf-8")
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        _print(measured)


def _rates(text: str) -> list[float]:
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        rates = []
    if not rates or not all(0 < one < 1e6 for one in rates):
        raise InvalidRequest(f"--request-rate {text!r} is no list of rates.", mend="For instance: 2,5,10.")
    return rates


def _print(measured: Measurement) -> None:
    from perf.tables import row_table, wide_console

    rows = measured.rows
    title = f"{rows[0]['model']} over {rows[0]['protocol']}, {rows[0]['requests']} requests a row"
    wide_console().print(row_table(title, rows, ("model", "protocol", "requests", "arrivals")))
    if unsettled := [row for row in rows if row["stable"] is False]:
        typer.echo(
            f"{len(unsettled)} of {len(rows)} levels had not settled: more requests (--request-count), less load."
        )
