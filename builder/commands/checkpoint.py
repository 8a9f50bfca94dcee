"""`pixelis build --checkpoint DIR`: the checks, the plan, and then the build with that checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console

from builder.building.device import for_device
from builder.candidate import Candidate
from builder.checkpoint_view import read_view
from builder.checkpoints.account import Account
from builder.checkpoints.adapter import read_adapter
from builder.checkpoints.checks import Checkpoint, check_checkpoint
from builder.checkpoints.merged import merged
from builder.checkpoints.plan import MADE, Plan, plan
from builder.checkpoints.room import check_room
from builder.checkpoints.using import VARIABLE, settings_of
from builder.commands.options import table
from builder.commands.request import Request
from builder.model_spec import ModelSpec
from builder.named.specs import specs_of
from builder.pipeline import Pipeline
from builder.spec import pipeline
from builder.storing.chosen import Chosen
from pixelis.settings import Settings, settings
from python_backends.checkpoints import PAIR, models_of


def build_checkpoint(
    request: Request,
    run: Callable[[Request], None],
    directory: Path,
    adapter: Path | None,
    dry_run: bool,
) -> None:
    """Look at the checkpoint, say what will be made of it, and make it.

    Args:
        request: what is asked for besides; with `name` the two models of the checkpoint are published beside those of
            the default one, which stay as they are.
        run: makes it.
        directory: the checkpoint.
        adapter: a PEFT directory that is merged into it first; a plan is made without merging.
        dry_run: stop after the plan.

    Raises:
        BuildError: the checkpoint cannot be built from, or there is no room to.
    """
    checkpoint = check_checkpoint(directory.expanduser().absolute())
    if adapter is not None:
        checkpoint = with_adapter(checkpoint, adapter.expanduser(), dry_run)
    home = pipeline()
    with settings_of(checkpoint.directory) as values:
        places = (values.state / "builds", request.repository or values.repository)
        known = pipeline()
        wanted = request.names or ([] if request.name is None else list(MADE))
        candidates = bool(request.formats or request.precisions or request.measure or request.device)
        forms = {name: _forms(request, known[name], places[1], values, candidates) for name in MADE}
        made = plan(checkpoint, known, wanted, forms, values, published=not candidates, jobs=request.jobs)
        if dry_run:
            typer.echo(made.model_dump_json()) if request.as_json else print_plan(Console(), made)
            return
        check_room(made, values.state)
        if not request.as_json:
            print_plan(Console(stderr=True), made)
        request = replace(request, account=Account(made, places))
        if request.name is not None:
            models = specs_of(known, request.name, read_view(checkpoint.directory))
            names = [named_model(model, request.name) for model in wanted]
            run(replace(request, names=names, spec=Pipeline(models=(*home.models, *models))))
            return
        run(request)
        if not request.as_json:
            typer.echo(f"For `pixelis serve`, `lint` and the next build: export {VARIABLE}={checkpoint.directory}")


def with_adapter(checkpoint: Checkpoint, adapter: Path, dry_run: bool) -> Checkpoint:
    """The checkpoint with a LoRA adapter merged into it; of a plan, itself, with what the adapter's notes say.

    Raises:
        BuildError: the adapter does not fit.
    """
    found = read_adapter(adapter, checkpoint.weights, tied=checkpoint.architecture.text.tied)
    if dry_run:
        return replace(checkpoint, warnings=(*checkpoint.warnings, *found.notes))
    return check_checkpoint(merged(checkpoint.directory, adapter, settings().state))


def named_model(model: str, name: str | None) -> str:
    """What a checkpoint's `policy` or `vision_encoder` is called."""
    return models_of(name)[PAIR.index(model)]


def _forms(
    request: Request, model: ModelSpec, repository: Path, values: Settings, candidates: bool
) -> Sequence[Candidate]:
    """The forms that the model will be built in."""
    if candidates:
        formats, precisions = request.forms
        wanted = [c for c in model.all_candidates if c.format in formats and c.precision in precisions]
        if request.device:
            wanted = [choice.candidate for choice in for_device(request.device, wanted, model.kind) if choice.kept]
        return wanted
    if request.publish and model.name in request.names:
        return [model.find_candidate(request.publish)]
    full = named_model(model.name, request.name)
    chosen = None if request.default else Chosen(repository, values.state).of(full)
    return [model.candidate if chosen is None else model.find_candidate(chosen.label)]


def print_plan(console: Console, made: Plan) -> None:
    """A row for each model and form, then sums, then what serving takes."""
    console.print(
        f"{made.checkpoint}: {made.family}, {made.layers} layers, {made.text_parameters / 1e6:.0f} million numbers "
        f"for text and {made.vision_parameters / 1e6:.0f} for pictures, {made.dtype}, "
        f"{gib(made.checkpoint_bytes)} in {made.shards} files.",
        highlight=False,
        soft_wrap=True,
    )
    numbers = ("artifact", "memory", "minutes")
    rows = table("model", "form", *numbers, right=numbers)
    for row in made.models:
        minutes = f"{row.seconds / 60:.1f}"
        rows.add_row(row.model, row.candidate, gib(row.artifact_bytes), gib(row.memory_bytes), minutes)
    console.print(rows)
    serving = made.serving
    buckets = {bucket: None for row in made.models for bucket in row.buckets}
    lines = [
        *(f"Pictures: {bucket}." for bucket in buckets),
        f"Together {gib(made.disk_bytes)} of disk, at most {gib(made.memory_bytes)} of memory, "
        f"{made.seconds / 60:.1f} minutes on one thread.",
        f"Serving: {gib(serving.weight_bytes)} of weights; keys and values take {gib(serving.request_bytes)} for a "
        f"request of {serving.max_len} tokens ({serving.token_bytes / 1024:.0f} KiB a token), "
        f"{gib(serving.cache_bytes)} for the {serving.requests} that decode together.",
        *([f"As for every checkpoint: {', '.join(made.others)}."] if made.others else []),
        *(f"Note: {warning}." for warning in made.warnings),
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def gib(size: float) -> str:
    """Bytes, for people."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**29 else f"{size / 2**20:.0f} MiB"
