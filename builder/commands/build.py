"""`pixelis build` and `pixelis lint`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import typer
from rich.console import Console

from builder.building.machine import Device
from builder.checkpoints.plan import MADE
from builder.choosing.choose import Goal
from builder.choosing.presets import PRESETS, PresetName
from builder.commands import build_options as its
from builder.commands import modes
from builder.commands.best import best
from builder.commands.checkpoint import build_checkpoint
from builder.commands.options import ForTarget, Json, Repository, Written, echo, existing, parse_target
from builder.commands.request import Request
from builder.commands.vllm import OURS, build_with_vllm, check_vllm, leave_vllm, vllm_options
from builder.lint import lint as run_lint
from builder.named.specs import refused

app = typer.Typer(no_args_is_help=True)


@app.command(epilog=its.EXAMPLES)
def build(
    models: its.Models = None,
    these: its.These = "",
    formats: its.Formats = "",
    precisions: its.Precisions = "",
    measure: its.Measure = False,
    publish: its.Publish = "",
    default: its.Default = False,
    optimize: its.Optimize = "",
    preset: its.Preset = "",
    max_accuracy_drop: its.Drop = None,
    output: its.Output = None,
    device: its.OnDevice = "",
    jobs: its.Jobs = 1,
    segmenter: its.Segmenter = "",
    checkpoint: its.Checkpoint = None,
    name: its.Name = "",
    adapter: its.Adapter = None,
    dry_run: its.DryRun = False,
    policy_runtime: its.PolicyRuntime = "",
    tensor_parallel: its.TensorParallel = None,
    pipeline_parallel: its.PipelineParallel = None,
    gpu_memory_utilization: its.GpuMemory = None,
    max_model_len: its.MaxModelLen = None,
    checkpoint_at: its.CheckpointAt = None,
    force: its.Force = False,
    repository: Repository = None,
    target: ForTarget = "embedded",
    as_json: Json = False,
) -> None:
    """Make what is not up to date: export, optimise, judge, publish.

    With --formats or --precisions every such form of the models is built and judged into the build cache, and nothing
    is published; --publish serves one of them, --optimize the best of them. With --segmenter that pair alone is built.
    With --checkpoint the models that depend on it are made of that directory, which is checked first.
    With --name they are published beside the default checkpoint's, for requests that name it.
    With --policy-runtime vllm the policy is decoded by vLLM, in Triton's own backend for it.
    """
    request = Request(
        names=_names(models or [], these),
        formats=formats,
        precisions=precisions,
        publish=publish,
        default=default,
        force=force,
        measure=measure,
        goal=_one_of(optimize, get_args(Goal), "--optimize"),
        preset=_one_of(preset, get_args(PresetName), "--preset"),
        max_accuracy_drop=max_accuracy_drop,
        output=output,
        jobs=jobs,
        segmenter=segmenter,
        name=_checkpoint_name(name),
        device=_one_of(device, get_args(Device), "--device"),
        repository=repository,
        target=parse_target(target),
        as_json=as_json,
        vllm=vllm_options(
            policy_runtime,
            tensor_parallel=tensor_parallel,
            pipeline_parallel=pipeline_parallel,
            gpu_memory_utilization=gpu_memory_utilization,
            max_model_len=max_model_len,
            checkpoint_at=checkpoint_at,
        ),
    )
    run = _mode(request)
    if request.vllm is not None:
        check_vllm(request, run is modes.publish)
        build_with_vllm(request, checkpoint, adapter, dry_run)
        return
    if policy_runtime == OURS:
        leave_vllm(request)
    if request.name is not None:
        _check_named(request, run)
    if checkpoint is None:
        for option, value in (("--dry-run", dry_run), ("--adapter", adapter), ("--name", name)):
            if value:
                raise typer.BadParameter("is about a checkpoint: name it with --checkpoint", param_hint=option)
        run(request)
    else:
        if request.segmenter or (dry_run and run is best):
            wrong = "goes without --segmenter, and with --dry-run without --optimize and --preset"
            raise typer.BadParameter(wrong, param_hint="--checkpoint")
        build_checkpoint(request, run, checkpoint, adapter, dry_run)


def _names(listed: list[str], joined: str) -> list[str]:
    """Models as arguments or after --models; none for all of them. An unknown one is refused later, by name."""
    names = [name.strip() for name in joined.split(",") if name.strip()]
    return [] if names == ["all"] else [*listed, *names]


def _one_of(text: str, allowed: tuple[Any, ...], option: str) -> Any:
    """`text` where it is allowed, none where it is empty; another word is wrong usage."""
    if text and text not in allowed:
        raise typer.BadParameter(f"it is one of {', '.join(allowed)}", param_hint=option)
    return text or None


def _mode(request: Request) -> Callable[[Request], None]:
    """The one of the four that is asked for; options that do not go together are wrong usage."""
    if request.segmenter:
        _check_alone(request)
        return modes.segmenter
    if request.goal or request.preset:
        _check_best(request)
        return best
    for option, value in (("--output", request.output), ("--max-accuracy-drop", request.max_accuracy_drop)):
        if value is not None:
            raise typer.BadParameter("goes with --optimize or --preset", param_hint=option)
    if request.formats or request.precisions or request.measure or request.device:
        if request.publish or request.default or request.target != "embedded":
            wrong = "goes without --publish, --default and --target: candidates are published nowhere"
            raise typer.BadParameter(wrong, param_hint="--formats")
        return modes.candidates
    if request.publish and request.default:
        raise typer.BadParameter("names a form, and --default the spec's", param_hint="--publish")
    if request.publish and len(request.names) != 1:
        raise typer.BadParameter("is the form of one model: name that", param_hint="--publish")
    return modes.publish


def _checkpoint_name(name: str) -> str | None:
    """What a checkpoint is to be called; none where nothing was said."""
    why = refused(name) if name else None
    if why is not None:
        raise typer.BadParameter(why, param_hint="--name")
    return name or None


def _check_named(request: Request, run: Callable[[Request], None]) -> None:
    """--name publishes two models."""
    if run is not modes.publish:
        wrong = (
            "publishes a checkpoint, so it goes without --formats, --optimize and the like: name a form by --publish"
        )
        raise typer.BadParameter(wrong, param_hint="--name")
    others = [model for model in request.names if model not in MADE]
    if others:
        wrong = f"is about {' and '.join(MADE)}, not {', '.join(others)}"
        raise typer.BadParameter(wrong, param_hint="--name")


def _check_alone(request: Request) -> None:
    """--segmenter is about its own two models."""
    others = (request.formats, request.precisions, request.publish, request.default, request.measure, request.goal)
    more = (request.preset, request.max_accuracy_drop, request.output, request.device, request.jobs > 1)
    if request.names or any(others) or any(option not in (None, False) for option in more):
        wrong = "goes with --force, --repository, --target and --json alone: it is about two models of its own"
        raise typer.BadParameter(wrong, param_hint="--segmenter")


def _check_best(request: Request) -> None:
    option = "--optimize" if request.goal else "--preset"
    if request.publish or request.default or request.force:
        wrong = "chooses a form, so it goes without --publish, --default and --force"
        raise typer.BadParameter(wrong, param_hint=option)
    if request.target != "embedded":
        wrong = "measures what the embedded server runs: publish a form with --publish"
        raise typer.BadParameter(wrong, param_hint=option)
    if request.preset and PRESETS[request.preset].bundle and request.output is None:
        raise typer.BadParameter(f"is missing: {request.preset} writes a bundle into it", param_hint="--output")


@app.command()
def lint(repository: Written = None, target: ForTarget = "embedded", as_json: Json = False) -> None:
    """Hold configs, graphs, shims and manifests against the contract.

    Example: pixelis lint --json
    """
    findings = run_lint(existing(repository), target=parse_target(target))
    errors = [finding for finding in findings if finding.severity == "error"]
    if as_json:
        echo({"findings": [finding.model_dump() for finding in findings], "errors": len(errors)})
    else:
        console = Console()
        for finding in findings:
            colour = "red" if finding.severity == "error" else "yellow"
            console.print(f"[{colour}]{finding.severity}[/] {finding.model} ({finding.rule}): ", end="")
            console.print(f"{finding.message} {finding.mend}", markup=False, highlight=False)
        console.print("No findings." if not findings else f"{len(findings)} findings, {len(errors)} of them errors.")
    if errors:
        raise typer.Exit(1)
