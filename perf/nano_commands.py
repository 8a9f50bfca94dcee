"""`pixelis nano evaluate`: the default checkpoint through the served pipeline."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()


@app.command("evaluate")
def evaluate(
    scenes: Annotated[int, typer.Option(min=1, help="Held-out scenes of each family.")] = 500,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first scene.")] = 100_000,
    split: Annotated[str, typer.Option(help="held_out, or train to see how far apart the two are.")] = "held_out",
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 8,
    url: Annotated[
        str | None, typer.Option(help="gRPC address of a running server; without it one is started.")
    ] = None,
    k: Annotated[int, typer.Option(min=0, help="Neighbours that may vote.")] = 5,
    failures: Annotated[Path | None, typer.Option(help="Write what was answered wrong here, a JSON line each.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw some of what was answered wrong here (PNG).")] = None,
    families: Annotated[str, typer.Option(help="Which families, with commas between; all by default.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Ask the served pipeline about scenes that training never saw; agent and voted accuracy of each family.

    Held-out scenes have other seeds, other words and other background photographs than training scenes.

    Example: pixelis nano evaluate --scenes 500 --json
    """
    from clients.aio import AsyncPixelisClient
    from perf import nano_evaluation as evaluation
    from perf.machine import machine, versions
    from perf.nano_failures import sheet
    from perf.progress import bar
    from pixelis.errors import ServingError
    from pixelis.schema import Claim, Measurement

    if split not in ("held_out", "train"):
        raise typer.BadParameter("split is held_out or train", param_hint="--split")

    asked_families = families.split(",") if families else list(evaluation.FAMILIES)
    if unknown := [family for family in asked_families if family not in evaluation.FAMILIES]:
        known = ", ".join(evaluation.FAMILIES)
        raise typer.BadParameter(f"there is no family {unknown[0]!r}; known: {known}", param_hint="--families")

    async def run(address: str) -> tuple[list[dict[str, Any]], list[evaluation.Answered]]:
        rows: list[dict[str, Any]] = []
        everything: list[evaluation.Answered] = []
        async with AsyncPixelisClient(address) as client:
            for family in asked_families:
                asked = evaluation.questions(split, scenes, first_seed, family)  # type: ignore[arg-type]
                with bar(f"{family}", len(asked), quiet=as_json) as advance:
                    answered = await evaluation.answer(client, asked, concurrency, advance, k=k, timeout_s=120)
                rows.append(evaluation.row(family, answered))
                if rows[-1]["failed"] == len(answered):
                    reason = "; ".join(rows[-1]["errors"])
                    raise ServingError(
                        f"No question was answered: {reason}.", mend="Is the server up? `pixelis doctor`."
                    )
                everything += answered
        return rows, everything

    with ExitStack() as stack:
        address = url or _serve(stack, as_json)
        rows, everything = asyncio.run(run(address))
    if failures is not None:
        failures.write_text("".join(json.dumps(w) + "\n" for w in evaluation.failures(everything)))
    if picture is not None:
        sheet(everything, picture)
    claims = [
        Claim(
            claim=f"{which} accuracy, {row['family']}",
            target=evaluation.TARGET,
            measured=row[f"{which}_accuracy"],
            unit="share",
            met=row[f"{which}_accuracy"] >= evaluation.TARGET,
        )
        for row in rows
        for which in ("agent", "voted")
    ]
    claims += [
        Claim(
            claim=f"expected calibration error, {row['family']}",
            target=evaluation.CALIBRATION_TARGET,
            measured=row["calibration_error"],
            unit="share",
            met=row["calibration_error"] <= evaluation.CALIBRATION_TARGET,
        )
        for row in rows
    ]
    command = " ".join(["pixelis", *sys.argv[1:]])
    measurement = Measurement(
        name="nano evaluate", command=command, machine=machine(), versions=versions(), rows=rows, claims=claims
    )
    _print(measurement, as_json)


def _serve(stack: ExitStack, quiet: bool) -> str:
    from perf.progress import started

    return str(stack.enter_context(started(quiet=quiet)).grpc_url)


def _print(measurement: Any, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(measurement.model_dump_json(indent=2) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("family", "scenes", "agent", "95 %", "voted", "calibration error", "covered", "failed", "median")
    for row in measurement.rows:
        low, high = row["agent_interval_95"]
        table.add_row(
            row["family"],
            str(row["scenes"]),
            f"{row['agent_accuracy']:.3f}",
            f"{low:.3f}-{high:.3f}",
            f"{row['voted_accuracy']:.3f}",
            f"{row['calibration_error']:.3f}",
            f"{row['covered']:.3f}",
            str(row["failed"]),
            f"{row['seconds_median']:.2f} s",
        )
    Console(width=max(Console().width, 110)).print(table)
