"""`pixelis build --policy-runtime vllm`: the checks, the plan, and then the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from builder.checkpoints.checks import Checkpoint, check_checkpoint
from builder.checkpoints.using import VARIABLE, settings_of
from builder.commands.checkpoint import gib, with_adapter
from builder.commands.modes import fail_with, print_build
from builder.commands.options import progress
from builder.commands.request import Request
from builder.sources.checkpoint import checkpoint_directory
from builder.store import Store
from builder.vllm.build import build_vllm, planned
from builder.vllm.options import VllmOptions
from builder.vllm.plan import VllmPlan, vllm_plan
from builder.vllm.specs import detach
from pixelis.settings import settings

OURS, VLLM = "pixelis", "vllm"


def vllm_options(runtime: str, **said: Any) -> VllmOptions | None:
    """What the command line said of vLLM; none where it is not asked for. What does not go together is wrong usage.

    Args:
        runtime: `pixelis`, `vllm` or nothing.
        said: fields of `VllmOptions`; none = not said.
    """
    if runtime not in ("", OURS, VLLM):
        raise typer.BadParameter(f"it is `{OURS}` or `{VLLM}`", param_hint="--policy-runtime")
    given = {name: value for name, value in said.items() if value is not None}
    if runtime != VLLM:
        for name in given:
            raise typer.BadParameter("goes with --policy-runtime vllm", param_hint="--" + name.replace("_", "-"))
        return None
    share = given.get("gpu_memory_utilization", 1)
    if not 0 < share <= 1:
        raise typer.BadParameter("it is more than 0 and at most 1", param_hint="--gpu-memory-utilization")
    return VllmOptions(**given)


def check_vllm(request: Request, plain: bool) -> None:
    """vLLM is for a whole repository of a full Triton image.

    Args:
        request: with `vllm`.
        plain: whether nothing but bringing up to date is asked for.
    """
    if request.target != "ngc" or request.repository is None:
        wrong = "is for a full Triton image: add --target ngc --repository DIR"
        raise typer.BadParameter(wrong, param_hint="--policy-runtime")
    if not plain or request.publish or request.default or request.name is not None:
        wrong = "goes without --formats, --optimize, --publish, --default, --segmenter, --name and the like"
        raise typer.BadParameter(wrong, param_hint="--policy-runtime")


def leave_vllm(request: Request) -> None:
    """Let the policy's own runtime decode again, in a repository that was written for vLLM."""
    store = Store(request.repository or settings().repository, settings().state)
    with store.locked():
        detach(store)


def build_with_vllm(request: Request, directory: Path | None, adapter: Path | None, dry_run: bool) -> None:
    """Look at the checkpoint, say what vLLM will be started with, and write the repository.

    Args:
        request: with `vllm` and `repository`.
        directory: the checkpoint; none = the settings', or the nano.
        adapter: a PEFT directory that is merged into it first; a plan is made without merging.
        dry_run: stop after the plan.

    Raises:
        BuildError: the checkpoint cannot be built from, or not be shared by so many GPUs.
    """
    assert request.vllm is not None
    assert request.repository is not None
    found = (directory or checkpoint_directory()).expanduser().absolute()
    checkpoint = check_checkpoint(found)
    if adapter is not None:
        checkpoint = with_adapter(checkpoint, adapter.expanduser(), dry_run)
    with settings_of(checkpoint.directory):
        made = planned(checkpoint, request.vllm)
        plan = vllm_plan(checkpoint, made.engine, made.known)
        if dry_run:
            typer.echo(plan.model_dump_json()) if request.as_json else print_plan(Console(), plan)
            return
        with progress(quiet=request.as_json) as watch:
            report = build_vllm(made, request.repository, models=request.names, force=request.force, watch=watch)
    if request.as_json:
        typer.echo(report.model_dump_json())
    else:
        print_build(Console(), report)
        _print_next(request, checkpoint, made.engine.arguments.model)
    fail_with(report, request.as_json)


def print_plan(console: Console, plan: VllmPlan) -> None:
    """What a GPU needs, and the files as they would be written."""
    lines = [
        f"{plan.checkpoint}: {plan.family}, {plan.dtype}, on {plan.gpus} GPUs.",
        f"Each has {gib(plan.weight_bytes)} of weights and {plan.token_bytes / 1024:.0f} KiB of keys and values a "
        f"token; below {gib(plan.least_bytes)} of memory not one context of {plan.max_model_len} tokens fits.",
        f"A conversation may show {plan.images} pictures.",
        *(f"Note: {warning}." for warning in plan.warnings),
    ]
    for name, content in plan.files.items():
        lines += ["", f"{name}:", content.rstrip()]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _print_next(request: Request, checkpoint: Checkpoint, served: str) -> None:
    where = str(checkpoint.directory)
    mount = f"{where} at {served}" if served != where else where
    typer.echo(f"Serve {request.repository} with an image that has Triton's vLLM backend, and {mount} mounted there.")
    if settings().checkpoint != checkpoint.directory:
        typer.echo(f"For `pixelis lint` and the next build: export {VARIABLE}={where}")
