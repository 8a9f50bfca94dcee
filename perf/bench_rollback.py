"""`pixelis bench rollback`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("rollback")
def rollback(
    model: Annotated[str, typer.Argument(help="A model that runs an artifact alone.")] = "embed_image",
    form: Annotated[str, typer.Option(metavar="LABEL", help="The second form; default: the spec's first other.")] = "",
    asked: Annotated[
        str, typer.Option("--ask", metavar="MODEL", help="Ask this one, which calls the other: `pixelis`.")
    ] = "",
    rollbacks: Annotated[int, typer.Option(min=1, help="How often the artifact changes under load.")] = 4,
    seconds: Annotated[float, typer.Option(min=5, help="About how long perf_analyzer keeps asking.")] = 30.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Roll a served model back and forth between two artifacts while the real perf_analyzer keeps asking it.

    A repository, a state folder and a server of its own are used, and removed.

    Examples:

        pixelis bench rollback embed_image --json

        pixelis bench rollback embed_image --ask pixelis --seconds 60
    """
    from perf import perf_analyzer
    from perf.machine import machine, versions
    from perf.requests import input_data
    from perf.rollback.run import run
    from perf.rollback.samples import samples
    from perf.rollback.scene import scene
    from perf.tables import print_plain
    from pixelis.errors import NotFound
    from pixelis.schema import Measurement
    from pixelis.settings import settings

    tool = perf_analyzer.obtain(settings().state)
    try:
        data = input_data(asked or model)
    except NotFound:
        data = samples(asked or model)
    with scene(model, form, asked) as served:
        rows, claims = run(tool, served, data, seconds, concurrency, rollbacks)
    command = shlex.join(["pixelis", *sys.argv[1:]])
    made = {**versions(), "perf_analyzer": tool.version}
    measured = Measurement(name="rollback", command=command, machine=machine(), versions=made, rows=rows, claims=claims)
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
        return
    print_plain(measured)
