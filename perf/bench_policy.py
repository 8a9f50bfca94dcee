"""`pixelis bench policy`."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from typing import Annotated, Literal

import typer

app = typer.Typer()


@app.command("policy")
def policy(
    checkpoint: Annotated[
        str, typer.Option(metavar="NAMES", help="nano, 90m (random weights), or folders; commas between.")
    ] = "90m,nano",
    systems: Annotated[
        str, typer.Option(metavar="NAMES", help="`all`, or names with commas between; also pixelis-torchscript.")
    ] = "all",
    scenarios: Annotated[str, typer.Option(metavar="NAMES", help="`all`, or names with commas between.")] = "all",
    precisions: Annotated[
        str, typer.Option(metavar="NAMES", help="fp32, int8 or both; bf16 for pixelis-torchscript.")
    ] = "fp32",
    concurrency: Annotated[str, typer.Option(metavar="NUMBERS", help="Requests at once, of throughput.")] = "1,4,16",
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where pixelis-torchscript decodes; the others use the CPU.")
    ] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="How often the systems take their turn.")] = 3,
    tokens: Annotated[int, typer.Option(min=2, max=512, help="Tokens that a request generates.")] = 64,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each system.")] = 1,
    inter_token_ms: Annotated[
        float | None, typer.Option(min=1, help="Latency between tokens that the runtime holds; else its own measure.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One round of little work: does all of it run?")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """The policy runtime beside transformers, onnxruntime-genai and openvino-genai, in turns, on equal work.

    Every system decodes the same prompts greedily to the same number of tokens, in a process and on threads of its
    own, while the others sleep. What each of them reads is made first: the runtime's artifact by the builder.

    Examples:

        pixelis bench policy --quick

        pixelis bench policy --checkpoint nano --scenarios throughput,turns --rounds 5

        pixelis bench policy --systems pixelis-torchscript --precisions bf16 --concurrency 1,16,64 --device cuda

        pixelis bench policy --json > policy.json
    """
    from builder.commands.options import progress
    from perf.formats.words import parse_names
    from perf.policy.artifacts import policy_artifact
    from perf.policy.bench import BESIDE, FURTHER, PRECISIONS, SYSTEMS, Asked, measure
    from perf.policy.checkpoint import decoded_checkpoint
    from perf.policy.scenarios import SCENARIOS
    from perf.policy.show import show
    from perf.policy.words import parse_among, parse_levels
    from pixelis.machine import this_machine
    from pixelis.settings import settings

    state = settings().state.absolute()
    asked = Asked(
        systems=parse_among(systems, SYSTEMS, "system", BESIDE),
        precisions=parse_among(precisions, PRECISIONS, "precision", FURTHER),
        scenarios=parse_among(scenarios, tuple(SCENARIOS), "scenario"),
        rounds=rounds,
        tokens=tokens,
        threads=threads,
        quick=quick,
        inter_token_ms=inter_token_ms,
        levels=parse_levels(concurrency),
        device=device if device != "auto" else "cuda" if this_machine().gpus else "cpu",
        command=shlex.join(["pixelis", *sys.argv[1:]]),
    )
    checkpoints = [decoded_checkpoint(name, state) for name in parse_names(checkpoint)]
    with progress(quiet=False) as watch:
        made = partial(policy_artifact, state=state, watch=watch)
        measured = measure(asked, checkpoints, made, state, watch)
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        show(measured)
