"""`pixelis bench knn`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("knn")
def knn(
    data: Annotated[
        str, typer.Option(metavar="NAMES", help="keys, keys-512, glove, glove-400k, sift-1m.")
    ] = "keys-512",
    libraries: Annotated[str, typer.Option(metavar="NAMES", help="`all`, or names with commas between.")] = "all",
    only: Annotated[
        str, typer.Option(metavar="PARTS", help="Parts of labels, with semicolons between: these indexes alone.")
    ] = "",
    parts: Annotated[
        str, typer.Option(metavar="NAMES", help="sweep, crossover, live, compact, served; or `all`.")
    ] = "sweep",
    count: Annotated[int | None, typer.Option(min=1000, help="Stored vectors; default all of a data set.")] = None,
    recall: Annotated[float, typer.Option(min=0.5, max=1, help="recall@10 at which libraries are compared.")] = 0.95,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often the best of each, and the phases of `live`, take their turn.")
    ] = 5,
    threads: Annotated[int | None, typer.Option(min=1, help="To build with; default all cores. One searches.")] = None,
    pictures: Annotated[Path | None, typer.Option(file_okay=False, help="Folder for pictures of the curves.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few vectors and settings: does all of it run?")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Our indexes beside exact search, hnswlib and usearch: recall against time, on real vectors.

    Every index is searched by one thread, one query at a time and in batches of 32. The fastest of each library that
    reaches the recall then take turns. `crossover` says from which size on a trained index is faster than comparing
    with every vector, `live` what searches cost while the index takes vectors and is built again, `compact` how little
    memory does, `served` what Triton adds (of the sets named keys, whose width the model `knn` has).

    Examples:

        pixelis bench knn --quick

        pixelis bench knn --data keys-512,glove --pictures docs/images --json > knn.json

        pixelis bench knn --data keys --parts crossover,live,served

        pixelis bench knn --data keys --only "exact; ivf256; M16"
    """
    from builder.commands.options import progress
    from perf.knn.bench import PARTS, Asked, measure
    from perf.knn.contenders import LIBRARIES
    from perf.knn.data import DATASETS
    from perf.knn.show import show
    from perf.policy.words import parse_among
    from pixelis.settings import settings

    asked = Asked(
        data=parse_among(data, tuple(DATASETS), "data set"),
        libraries=parse_among(libraries, LIBRARIES, "library"),
        only=[part.strip() for part in only.split(";") if part.strip()],
        parts=parse_among(parts, PARTS, "part"),
        count=count,
        recall=recall,
        rounds=rounds,
        threads=threads or len(os.sched_getaffinity(0)),
        quick=quick,
        pictures=pictures,
        command=shlex.join(["pixelis", *sys.argv[1:]]),
    )
    with progress(quiet=False) as watch:
        measured = measure(asked, settings().state.absolute(), lambda said: watch("bench knn", said))
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        show(measured)
