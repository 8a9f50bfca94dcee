"""`pixelis tune knn`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pixelis.schema import Measurement
    from python_backends.experience.tuning import Trial

app = typer.Typer()


@app.command("knn")
def knn(
    recall: Annotated[float, typer.Option(min=0.01, max=1, help="Least recall, with 95 % certainty.")] = 0.95,
    latency_ms: Annotated[float | None, typer.Option(min=0.001, help="Most: median of one query, one thread.")] = None,
    memory_mb: Annotated[float | None, typer.Option(min=0.1, help="Most that the index may take, in MiB.")] = None,
    data: Annotated[
        str, typer.Option(help="experiences (of this machine), a data set of `pixelis bench knn`, or a .npy file.")
    ] = "experiences",
    count: Annotated[int | None, typer.Option(min=200, help="Stored vectors; default all.")] = None,
    k: Annotated[int, typer.Option(min=1, max=100, help="Neighbours of a query.")] = 10,
    grid: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="What is tried, as JSON; default everything.")
    ] = None,
    output: Annotated[Path | None, typer.Option(file_okay=False, help="Folder for knn.json and knn.png.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Serve this machine's experiences so from now on.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="To build with; default all cores. One searches.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Choose the index of the experiences: the fastest that reaches the recall, on queries that are not stored.

    Builds every index of the grid, searches at every setting, and compares with exact search. Where nothing keeps to
    the limits, none is chosen, and it is said what each limit would have to be.

    Examples:

        pixelis tune knn --recall 0.95 --write

        pixelis tune knn --data keys-512 --recall 0.98 --latency-ms 1 --memory-mb 400 --json
    """
    from builder.commands.options import progress
    from perf.knn.tuned import Asked, run
    from pixelis.settings import settings
    from python_backends.experience.tuning import Limits

    config = settings()
    asked = Asked(
        data=data,
        count=count,
        k=k,
        limits=Limits(recall=recall, latency_ms=latency_ms, memory_mib=memory_mb),
        grid=grid,
        output=output or config.state / "tune",
        write=write,
        threads=threads or len(os.sched_getaffinity(0)),
        command=shlex.join(["pixelis", *sys.argv[1:]]),
    )
    with progress(quiet=False) as watch:
        measured, chosen = run(asked, config, lambda said: watch("tune knn", said))
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        _print(measured, chosen, asked.output)


def _print(measured: Measurement, chosen: Trial, output: Path) -> None:
    from rich.table import Table

    from perf.tables import print_claims, wide_console

    shown = [row for row in measured.rows if row["front"] and (row["recall"] >= 0.5 or row["chosen"])]
    names = ("recall", "recall_low", "p50_ms", "p99_ms", "size_mib", "build_s")
    table = Table("", "index", "settings", *(name.replace("_", " ") for name in names), box=None, pad_edge=False)
    for row in sorted(shown, key=lambda row: float(row["p50_ms"])):
        settings = " ".join(
            f"{name.removeprefix('search_')}={value:g}" for name, value in row.items() if name.startswith("search_")
        )
        table.add_row("*" if row["chosen"] else "", row["label"], settings, *(f"{row[name]:g}" for name in names))
    console = wide_console(130)
    console.print(table)
    print_claims(console, measured.claims)
    console.print(f"chosen: {chosen.config.model_dump_json(exclude_none=True)}", highlight=False, soft_wrap=True)
    console.print(f"{output / 'knn.json'}, {output / 'knn.png'}", highlight=False)
