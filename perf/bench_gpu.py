"""`pixelis bench gpu`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated, Literal

import typer

app = typer.Typer()


@app.command("gpu")
def gpu(
    shape: Annotated[str, typer.Option(metavar="NAME", help="3b, 7b, or tiny.")] = "3b",
    parts: Annotated[str, typer.Option(metavar="NAMES", help="`all`, or names with commas: towers, decoders.")] = "all",
    batches: Annotated[str, typer.Option(metavar="NUMBERS", help="Pictures of one call.")] = "1,2,4,8,16,32,64",
    rows: Annotated[str, typer.Option(metavar="NUMBERS", help="Requests that write at once.")] = "1,4,16,64",
    prompts: Annotated[str, typer.Option(metavar="NUMBERS", help="Tokens of a prompt.")] = "256,1024,2048",
    device: Annotated[Literal["cuda", "cpu"], typer.Option(help="cpu: to see that all of it runs.")] = "cuda",
    rounds: Annotated[int, typer.Option(min=1, help="How often the systems take their turn.")] = 5,
    turn_s: Annotated[float, typer.Option(min=0.001, help="About how long one turn takes, in seconds.")] = 0.2,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Vision tower and decoder of Qwen2.5-VL, full depth and random weights, beside eager fp32 PyTorch on the same GPU.

    Needs PyTorch with CUDA and transformers. The decoder is on the GPU three times: once in fp32, twice in bf16.

    Examples:

        pixelis bench gpu --shape 7b --json

        pixelis bench gpu --shape tiny --device cpu --batches 1,2 --rows 1,2 --prompts 32 --rounds 1
    """
    from builder.commands.options import progress
    from builder.costing.timing import Turns
    from perf.gpu.bench import PARTS, TITLES, measure
    from perf.gpu.part import Asked
    from perf.policy.words import parse_among, parse_levels
    from perf.tables import print_measurement

    chosen = parse_among(parts, tuple(PARTS), "part")
    if device == "cuda":
        from perf.policy.systems.gpu import require_gpu

        require_gpu()
    levels = (parse_levels(batches, "batch"), parse_levels(rows), parse_levels(prompts, "length of a prompt", 32768))
    with progress(quiet=False) as watch:
        asked = Asked(shape, device, *levels, watch, Turns(rounds=rounds, turn_s=turn_s))
        measured = measure(chosen, asked, shlex.join(["pixelis", *sys.argv[1:]]))
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        print_measurement(measured, TITLES)
