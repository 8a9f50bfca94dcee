"""`pixelis bench e2e`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from perf.sweep_commands import Protocol

app = typer.Typer()


@app.command("e2e")
def e2e(
    scenes: Annotated[int, typer.Option(min=1, help="New held-out scenes of each family in a block, at least.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="How often both sides take their turn.")] = 5,
    concurrency: Annotated[str, typer.Option(help="Comma-separated numbers of requests at once.")] = "1,4,16",
    families: Annotated[str | None, typer.Option(help="Comma-separated families of questions; default all.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores for each side; default all usable ones.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="Protocol of the requests to the server.")] = Protocol.GRPC,
    url: Annotated[str | None, typer.Option(help="host:port of a running server; without it one is started.")] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Each optimisation on a server without the others, too: minutes more each.")
    ] = False,
    parts: Annotated[
        bool, typer.Option("--parts", help="What is claimed of parts, too: forward pass, search, operations, rewards.")
    ] = False,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="nano, 90m (random weights), or a Hugging Face folder.")
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Models in the best forms that `bench formats` measured here.")
    ] = False,
    goal: Annotated[
        str | None, typer.Option(help="What --best is best for: latency (the default), throughput, memory or size.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """The plain pipeline (one process, PyTorch and transformers) and the server, in turn, on the same questions.

    Plain: the same steps and weights, written by hand in one process; it serves one request at a time, or one a thread
    where that is faster here. Both sides have the same cores, and one waits while the other one is measured.

    Examples:

        pixelis bench e2e --scenes 8 --rounds 5 --json

        pixelis bench e2e --best --alone --parts --json

        pixelis bench e2e --checkpoint 90m --best --goal memory --json
    """
    from perf.e2e.command import Plan, measure
    from perf.e2e.show import show
    from perf.formats.words import parse_goal
    from perf.policy.words import parse_levels
    from pixelis.errors import InvalidRequest

    if goal is not None and not best:
        raise InvalidRequest("--goal says what --best is best for.", mend="Give --best too, or leave --goal out.")
    plan = Plan(
        scenes=scenes,
        rounds=rounds,
        levels=list(parse_levels(concurrency)),
        families=families,
        threads=threads,
        protocol=protocol.value,
        url=url,
        alone=alone,
        parts=parts,
        command=shlex.join(["pixelis", *sys.argv[1:]]),
        checkpoint=checkpoint,
        best=parse_goal(goal or "latency") if best else None,
    )
    measured = measure(plan)
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        show(measured)
