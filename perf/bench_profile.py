"""`pixelis bench profile`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("profile")
def profile(
    models: Annotated[str, typer.Option(metavar="NAMES", help="That sleep, one after the other; or `all`.")] = "all",
    pairs: Annotated[int, typer.Option(min=5, help="Questions asked of both servers, for each model.")] = 100,
    sleep_ms: Annotated[float, typer.Option(min=1, max=1000, help="How long a model sleeps at each call.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Whether a sleep in a model is found by `pixelis profile`, and taking it away gives what it says.

    Two servers are started, of which one has a model that sleeps. They are asked the same questions in turns.

    Examples:

        pixelis bench profile --json

        pixelis bench profile --models knn,policy --pairs 10
    """
    from perf.policy.words import parse_among
    from perf.profile.proof import MODELS, measure
    from perf.tables import print_plain

    chosen = parse_among(models, MODELS, "model")
    command = shlex.join(["pixelis", *sys.argv[1:]])
    measured = measure(chosen, pairs, sleep_ms / 1e3, command, quiet=not sys.stderr.isatty())
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        print_plain(measured)
