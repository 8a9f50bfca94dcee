"""`pixelis bench ops`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("ops")
def ops(
    scale: Annotated[float, typer.Option(min=0.01, max=10, help="Of the workload; 1 = 500 operations.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="0: labels that settings were chosen on; others: held out.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="How often all of it is done.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Of each side; default all usable cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Visual operations as they are served, beside one operation after the other at full resolution, on equal work.

    Pages, lines, scenes and clips with labels by what drew them. The plain side decodes the picture of each operation
    anew, looks at it in full and gives each run of a model all threads; the other one plans: operations side by side,
    equal ones once, low resolutions first. `no repeats` has a new picture in every request; of `half repeated` every
    request comes twice. Reading is compared with the pipeline of the `rapidocr` package too.

    Example: pixelis bench ops --json > ops.json
    """
    from builder.commands.options import progress
    from perf.ops.ops_bench import Asked, measure
    from perf.tables import print_measurement
    from pixelis.settings import settings

    config = settings()
    asked = Asked(
        scale=scale,
        seed=seed,
        rounds=rounds,
        threads=threads or config.threads.total,
        command=shlex.join(["pixelis", *sys.argv[1:]]),
    )
    with progress(quiet=False) as watch:
        measured = measure(asked, config, lambda said: watch("bench ops", said))
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        titles = {
            "time": "Time of all operations",
            "operation": "By operation: mean time inside it, share answered below full resolution",
            "quality": "Quality, in points of 100",
            "reading": "READ_TEXT beside the rapidocr package",
        }
        print_measurement(measured, titles)
