"""`pixelis tune`: settings chosen on held-out data."""

from __future__ import annotations

import asyncio
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from perf.vote_tuning import Play
    from pixelis.schema import Measurement

app = typer.Typer(help="Choose settings on held-out data.")


@app.command("votes")
def votes(
    scenes: Annotated[int, typer.Option(min=1, help="Held-out scenes of each family.")] = 100,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first scene.")] = 300_000,
    k: Annotated[int, typer.Option(min=1, max=100, help="Neighbours of each question.")] = 20,
    adversaries: Annotated[int, typer.Option(min=0, help="Questions of a family that adversaries answer.")] = 20,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 8,
    url: Annotated[
        str | None, typer.Option(help="gRPC address of a running server; without it one is started.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Choose min_vote_similarity: the lowest from which on the vote is right as often as the agent, in every family.

    Asks the served pipeline about held-out scenes, with its nearest experiences, and votes again at every threshold;
    then once more with neighbours that are near and wrong: the same scene with another word in it, another question
    about the same scene, another scene.

    Example: pixelis tune votes --scenes 100 --json
    """
    from perf import vote_tuning as tuning
    from perf.machine import machine, versions
    from pixelis.schema import Measurement
    from pixelis.settings import settings
    from python_backends.pipeline.local import LocalModels

    config = settings()
    with ExitStack() as stack:
        address = url or _serve(stack, as_json)
        found = asyncio.run(_played(address, scenes, first_seed, k, concurrency, as_json))
        state = Path(stack.enter_context(TemporaryDirectory()))
        models = stack.enter_context(LocalModels(config.model_copy(update={"state": state})))
        found += tuning.against(models, found, adversaries, k)
    rows = tuning.curve(found, config.retrieval)
    chosen = tuning.choose(rows)
    measured = Measurement(
        name="tune votes",
        command=shlex.join(["pixelis", *sys.argv[1:]]),
        machine=machine(),
        versions=versions(),
        rows=rows,
        claims=tuning.claims(rows, chosen, config.retrieval.min_vote_similarity),
    )
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        _print(measured, chosen)


async def _played(address: str, scenes: int, first_seed: int, k: int, concurrency: int, quiet: bool) -> list[Play]:
    from clients.aio import AsyncPixelisClient
    from perf import nano_evaluation as evaluation
    from perf.progress import bar
    from perf.vote_tuning import plays

    found: list[Play] = []
    async with AsyncPixelisClient(address) as client:
        for family in evaluation.FAMILIES:
            asked = evaluation.questions("held_out", scenes, first_seed, family)
            with bar(family, len(asked), quiet=quiet) as advance:
                found += plays(await evaluation.answer(client, asked, concurrency, advance, k=k, timeout_s=120))
    return found


def _serve(stack: ExitStack, quiet: bool) -> str:
    from perf.progress import started

    return str(stack.enter_context(started(quiet=quiet)).grpc_url)


def _print(measured: Measurement, chosen: float) -> None:
    from rich.table import Table

    from perf.tables import print_claims, wide_console

    table = Table("min_vote_similarity", "family", "plays", "agent", "voted", "gained", "lost", "votes a play")
    shown: list[dict[str, Any]] = [row for row in measured.rows if row["votes_cast"] or row["threshold"] == chosen]
    for row in shown:
        table.add_row(
            f"{row['threshold']:g}",
            row["family"],
            str(row["plays"]),
            f"{row['agent_accuracy']:.3f}",
            f"{row['voted_accuracy']:.3f}",
            str(row["gained"]),
            str(row["lost"]),
            f"{row['votes_cast']:.2f}",
        )
    console = wide_console(110)
    console.print(table)
    print_claims(console, measured.claims)
    console.print(f"chosen: PIXELIS_RETRIEVAL__MIN_VOTE_SIMILARITY={chosen:g}", highlight=False)
