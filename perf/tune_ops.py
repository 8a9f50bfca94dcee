"""`pixelis tune ops`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelis.schema import OperationName

if TYPE_CHECKING:
    from perf.ops.ladders import Tried
    from pixelis.settings import Settings

app = typer.Typer()


@app.command("ops")
def ops(
    loss: Annotated[float, typer.Option(min=0, max=100, help="Points of quality that may be lost.")] = 0.5,
    scale: Annotated[float, typer.Option(min=0.01, max=10, help="Of the labelled samples; 1 = 500 operations.")] = 0.5,
    only: Annotated[str, typer.Option(metavar="NAMES", help="Operations, with commas between.")] = "all",
    write: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a TOML file for PIXELIS_CONFIG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Choose at which resolutions each visual operation looks, and when what it sees is enough.

    Every ladder of resolutions is tried on labelled samples; the fastest is chosen that loses no more than so many
    points, and judged once more on samples that it was not chosen on.

    Examples:

        pixelis tune ops --json > ladders.json

        pixelis tune ops --only READ_TEXT --loss 0.2 --write pixelis.toml
    """
    from builder.commands.options import progress
    from perf.machine import machine, versions
    from perf.ops.ladders import MAKES
    from perf.policy.words import parse_among
    from perf.settings_file import toml
    from perf.tables import print_measurement
    from pixelis.schema import Claim, Measurement
    from pixelis.settings import settings

    names = tuple(name.value for name in MAKES)
    chosen = [OperationName(name) for name in parse_among(only.upper() if only != "all" else only, names, "operation")]
    rows: list[dict[str, Any]] = []
    claims: list[Claim] = []
    ladders: dict[str, Any] = {}
    with progress(quiet=False) as watch:
        for operation in chosen:
            found, best, held_out = _tuned(operation, loss, scale, settings(), lambda said: watch("tune ops", said))
            rows += [_row(operation, "labelled", one, found[0], one is best) for one in found]
            rows += [_row(operation, "held out", held_out[1], held_out[0], True)]
            lost = held_out[0].quality - held_out[1].quality
            name = f"{operation.value}, held out: points lost"
            claims.append(Claim(claim=name, measured=round(lost, 2), target=loss, unit="points", met=lost <= loss))
            ladders[operation.value.lower()] = best.ladder
    settings_found = toml({"operations": {name: ladder.model_dump(mode="json") for name, ladder in ladders.items()}})
    if write is not None:
        write.write_text(settings_found, encoding="utf-8")
    measured = Measurement(
        name="tune ops",
        command=shlex.join(["pixelis", *sys.argv[1:]]),
        machine=machine(),
        versions=versions(),
        rows=rows,
        claims=claims,
    )
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        print_measurement(measured, {"ladder": "Ladders of resolutions"})
        typer.echo(settings_found if write is None else f"written to {write}: set PIXELIS_CONFIG={write}")


def _tuned(
    operation: OperationName, loss: float, scale: float, config: Settings, watch: Any
) -> tuple[list[Tried], Tried, tuple[Tried, Tried]]:
    """Everything tried, the best, and the plain look and the best on held-out samples."""
    from perf.ops.ladders import MAKES, choose, tried
    from perf.ops.sides import Models
    from perf.ops.workload import KINDS, MAKERS

    models = Models(config.repository, 1)
    samples = [
        [one for kind in MAKES[operation] for one in MAKERS[kind](max(1, round(KINDS[kind] * scale)), seed)]
        for seed in (0, 1)
    ]
    found = tried(operation, samples[0], models, watch)
    best = choose(found, loss)
    again = tried(operation, samples[1], models, watch, [best.ladder])
    return found, best, (again[0], again[1])


def _row(operation: OperationName, samples: str, one: Tried, plain: Tried, chosen: bool) -> dict[str, Any]:
    return {
        "row": "ladder",
        "operation": operation.value,
        "samples": samples,
        "steps": list(one.ladder.steps),
        "enough": one.ladder.enough,
        "leaves_out": one.ladder.stop_early,
        "cpu_s": round(one.seconds, 3),
        "less_percent": round(100 * (1 - one.seconds / plain.seconds), 2),
        "quality": round(one.quality, 2),
        "lost_points": round(plain.quality - one.quality, 2),
        "answered_low": round(one.low, 3),
        "chosen": chosen,
    }
