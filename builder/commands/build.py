"""`pixelis build` and `pixelis lint`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console

from builder.building.machine import Device
from builder.candidate import FORMATS, PRECISIONS
from builder.choosing.choose import Goal
from builder.choosing.presets import PRESETS, PresetName
from builder.commands import modes as modes
from builder.commands.best import best
from builder.commands.modes import Request
from builder.commands.options import ForTarget, Json, Repository, Written, echo, existing, parse_target
from builder.lint import lint as run_lint

app = typer.Typer(no_args_is_help=True)


@app.command()
def build(
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Default: all.")] = None,
    these: Annotated[str, typer.Option("--models", metavar="NAMES", help="`all`, or names with commas between.")] = "",
    formats: Annotated[
        str, typer.Option(metavar="NAMES", help=f"Build candidates into the cache: `all`, or of {', '.join(FORMATS)}.")
    ] = "",
    precisions: Annotated[
        str, typer.Option(metavar="NAMES", help=f"Only these candidates: `all`, or of {', '.join(PRECISIONS)}.")
    ] = "",
    measure: Annotated[bool, typer.Option("--measure", help="Time the candidates against the original.")] = False,
    publish: Annotated[
        str, typer.Option(metavar="LABEL", help="Publish one model in this form, from now on: `openvino-fp32`.")
    ] = "",
    default: Annotated[
        bool, typer.Option("--default", help="Back to the spec's form, whatever was chosen or rolled back to.")
    ] = False,
    optimize: Annotated[
        str, typer.Option(metavar="GOAL", help="Publish what is best: latency, throughput, memory or size.")
    ] = "",
    preset: Annotated[
        str, typer.Option(metavar="NAME", help="Which forms, and which goal: development, gpu, cpu or edge.")
    ] = "",
    max_accuracy_drop: Annotated[
        float | None, typer.Option(min=0, max=1, help="What a task may lose for it; 0.01 is a point.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --optimize or --preset: a folder that runs without Triton.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Only forms that are worth it on auto, cpu or cuda; default: all.")
    ] = "",
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, metavar="N", help="Candidates that are built at the same time.")
    ] = 1,
    force: Annotated[
        bool, typer.Option("--force", help="Make again what is up to date; ends a rollback's hold.")
    ] = False,
    repository: Repository = None,
    target: ForTarget = "embedded",
    as_json: Json = False,
) -> None:
    """Make what is not up to date: export, optimise, judge, publish.

    With --formats or --precisions every such form of the models is built and judged into the build cache, and nothing
    is published; --publish serves one of them, --optimize the best of them.

    Examples:

        pixelis build

        pixelis build embed_image ocr_detect --force

        pixelis build --models all --formats all --jobs 2

        pixelis build dynamics --formats onnx,openvino --precisions fp32,int8 --measure

        pixelis build --device auto

        pixelis build dynamics --publish openvino-fp32

        pixelis build dynamics --default

        pixelis build --optimize latency --max-accuracy-drop 0.01

        pixelis build --preset cpu

        pixelis build vision_encoder policy --preset edge --output bundle

        pixelis build --target ngc --repository /srv/models
    """
    request = Request(
        names=_names(models or [], these),
        formats=formats,
        precisions=precisions,
        publish=publish,
        default=default,
        force=force,
        measure=measure,
        jobs=jobs,
        device=_one_of(device, get_args(Device), "--device"),
        repository=repository,
        target=parse_target(target),
        as_json=as_json,
    )
    if optimize or preset:
        _only(request, "--optimize" if optimize else "--preset")
        goal = _one_of(optimize, get_args(Goal), "--optimize")
        base = _one_of(preset, get_args(PresetName), "--preset")
        if base is not None and PRESETS[base].bundle and output is None:
            raise typer.BadParameter(f"is missing: {base} writes a bundle into it", param_hint="--output")
        best(request, goal, base, max_accuracy_drop, output)
        return
    if output is not None:
        raise typer.BadParameter("goes with --optimize or --preset", param_hint="--output")
    if max_accuracy_drop is not None:
        raise typer.BadParameter("goes with --optimize or --preset", param_hint="--max-accuracy-drop")
    if formats or precisions or measure or device:
        if publish or default or request.target != "embedded":
            wrong = "goes without --publish, --default and --target: candidates are published nowhere"
            raise typer.BadParameter(wrong, param_hint="--formats")
        modes.candidates(request)
        return
    if jobs > 1:
        raise typer.BadParameter("goes with --formats, --optimize or --preset", param_hint="--jobs")
    if publish and default:
        raise typer.BadParameter("names a form, and --default the spec's", param_hint="--publish")
    if publish and len(request.names) != 1:
        raise typer.BadParameter("is the form of one model: name that", param_hint="--publish")
    modes.publish(request)


def _names(listed: list[str], joined: str) -> list[str]:
    """Models as arguments or after --models; none for all of them. An unknown one is refused later, by name."""
    names = [name.strip() for name in joined.split(",") if name.strip()]
    return [] if names == ["all"] else [*listed, *names]


def _one_of(text: str, allowed: tuple[Any, ...], option: str) -> Any:
    """`text` where it is allowed, none where it is empty; another word is wrong usage."""
    if text and text not in allowed:
        raise typer.BadParameter(f"it is one of {', '.join(allowed)}", param_hint=option)
    return text or None


def _only(request: Request, option: str) -> None:
    if request.publish or request.default or request.force:
        wrong = "chooses a form, so it goes without --publish, --default and --force"
        raise typer.BadParameter(wrong, param_hint=option)
    if request.target != "embedded":
        raise typer.BadParameter(
            "measures what the embedded server runs: publish a form with --publish", param_hint=option
        )


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
