"""`pixelis nano train`, `examples` and `seed`: make the default checkpoint and what comes with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The default checkpoint.")

CHECKPOINT = Path(__file__).parent / "checkpoint"


@app.command("train")
def train(
    out: Annotated[Path, typer.Option(help="Hugging Face directory to write.")] = CHECKPOINT,
    state: Annotated[Path, typer.Option(help="Folder of the resumable state.")] = Path(".pixelis/nano"),
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps in all.")] = 12750,
    seed: Annotated[int, typer.Option(min=0, help="Of the weights and of every scene.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the trainer.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")] = False,
) -> None:
    """Train the nano from nothing, or go on where a stopped run left off.

    About a second a step on one core. Ctrl-C loses at most 250 steps; the same command goes on.

    Example: pixelis nano train --steps 12750 --seed 1
    """
    from builder.nano.train import Recipe
    from builder.nano.train import train as run

    def report(line: str) -> None:
        if as_json:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            return
        said = json.loads(line)
        sys.stderr.write(
            f"step {said['step']}/{steps}  loss {said['loss']:.4f}  tokens {said['token_accuracy']:.3f}  "
            f"coordinates {said['coordinate_accuracy']:.3f}  {said['seconds_per_step']:.2f} s a step\n"
        )

    run(Recipe(seed=seed, steps=steps, threads=threads), state, out, report)


@app.command("examples")
def examples(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("docs/examples"),
) -> None:
    """Draw the pictures that `make demo` asks about, and their questions and right answers.

    Example: pixelis nano examples --out docs/examples
    """
    from builder.nano.examples import write

    for path in write(out):
        sys.stdout.write(f"{path}\n")


@app.command("seed")
def seed(
    scenes: Annotated[int, typer.Option(min=20, help="Training scenes to play, an episode each.")] = 640,
    dynamics_seed: Annotated[int, typer.Option(min=0, help="Of the dynamics network's training.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Play training scenes: makes the experiences that the index starts with, and the dynamics network.

    Needs the other models built (policy, encoders, OCR). Build `dynamics` and `knn` after it.

    Example: pixelis nano seed --scenes 640
    """
    from rich.console import Console
    from rich.progress import Progress

    from builder.nano import play
    from pixelis.settings import settings

    with Progress(console=Console(file=sys.stderr), disable=as_json) as progress:
        task = progress.add_task("playing training scenes", total=scenes)
        lived = list(play.play_scenes(settings(), scenes, lambda: progress.advance(task)))
    report = play.train_dynamics(lived, dynamics_seed)
    kept = play.write(lived)
    said = {"episodes": scenes, "right": kept, "dynamics": report.as_dict()}
    if as_json:
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
        return
    sys.stdout.write(
        f"{kept} of {scenes} episodes were right and became experiences.\n"
        f"dynamics: held-out error {report.held_out_mse:.3e}, no change {report.no_change_mse:.3e}\n"
    )


@app.command("calibrate")
def calibrate(
    scenes: Annotated[int, typer.Option(min=100, help="Held-out scenes to play, an episode each.")] = 900,
    first_seed: Annotated[
        int, typer.Option(min=0, help="Seed of the first one; not those of the evaluation.")
    ] = 300_000,
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint whose pixelis.json is written.")] = CHECKPOINT,
    plays: Annotated[Path | None, typer.Option(help="Write what was played here, a JSON line each.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Make the agent's confidence a probability: fit it on held-out scenes, and write it into the checkpoint's profile.

    Needs the models built. Build `policy` after it.

    Example: pixelis nano calibrate --scenes 900
    """
    from rich.console import Console
    from rich.progress import Progress

    from builder.nano import play
    from builder.nano.calibration import fit
    from pixelis.settings import settings

    with Progress(console=Console(file=sys.stderr), disable=as_json) as progress:
        task = progress.add_task("playing held-out scenes", total=scenes)
        lived = list(play.play_scenes(settings(), scenes, lambda: progress.advance(task), "held_out", first_seed))
    if plays is not None:
        plays.write_text("".join(json.dumps(play.summary(one)) + "\n" for one in lived), encoding="utf-8")
    fitted = fit(play.judge(lived))
    path = checkpoint / "pixelis.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text(encoding="utf-8")), "calibration": fitted.model_dump()}, indent=2)
        + "\n",
        encoding="utf-8",
    )
    said = {"episodes": scenes, "right": sum(one.right for one in lived), "calibration": fitted.model_dump()}
    sys.stdout.write(json.dumps(said, indent=2 if as_json else None) + "\n")
