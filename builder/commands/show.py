"""How manifests look on a terminal."""

from __future__ import annotations

from datetime import datetime, timezone

from pydantic import BaseModel
from rich.console import Console
from rich.table import Column, Table

from builder.gating.compare import Difference
from builder.model_spec import ModelSpec
from builder.store import Store
from builder.storing.chosen import Chosen
from builder.storing.manifest import Manifest
from pixelis.errors import PixelisError

NUMBERS = ("max_abs", "mean_abs", "max_rel", "cosine", "scale", "argmax", "equal")


class Summary(BaseModel):
    """One line about a model."""

    model: str
    kind: str
    version: int | None = None
    format: str | None = None
    precision: str | None = None
    gate: str | None = None
    size_bytes: int | None = None
    digest: str | None = None

    def cells(self) -> tuple[str, ...]:
        """For a table; `-` where a model has no artifact."""
        size = None if self.size_bytes is None else f"{self.size_bytes / 2**20:.1f}"
        digest = self.digest[:12] if self.digest else None
        values = (self.model, self.kind, self.version, self.format, self.precision, self.gate, size, digest)
        return tuple("-" if value is None else str(value) for value in values)


def summary(store: Store, spec: ModelSpec) -> Summary:
    """The model's newest version in one line; `gate` says so where it is not built or its manifest is unreadable."""
    line = Summary(model=spec.name, kind=spec.kind)
    if not spec.built:
        return line.model_copy(update={"version": max(store.versions(spec.name), default=None)})
    newest = store.latest(spec.name)
    if newest is None:
        return line.model_copy(update={"gate": "not built"})
    return version_line(store, spec, newest)


def history(store: Store, spec: ModelSpec) -> list[Summary]:
    """Every version of the model, the newest first; as `summary` where it has no artifact."""
    numbers = store.built_versions(spec.name) if spec.built else []
    return [version_line(store, spec, number) for number in reversed(numbers)] or [summary(store, spec)]


def version_line(store: Store, spec: ModelSpec, version: int) -> Summary:
    """One version in one line."""
    line = Summary(model=spec.name, kind=spec.kind, version=version)
    try:
        manifest = store.manifest(spec.name, version)
    except PixelisError as error:
        return line.model_copy(update={"gate": f"unreadable: {error.message}"})
    return line.model_copy(
        update={
            "version": manifest.version,
            "format": manifest.format,
            "precision": manifest.precision,
            "gate": manifest.gate.shown,
            "size_bytes": manifest.size_bytes,
            "digest": manifest.digest,
        }
    )


def choices(store: Store) -> dict[str, str]:
    """Model -> why it is not served in its default form, or held at an artifact."""
    held = {True: "held", False: "chosen"}
    found = Chosen(store.repository, store.state).all()
    return {name: f"{choice.label} is {held[choice.held]}, {choice.why}" for name, choice in found.items()}


def print_manifest(console: Console, manifest: Manifest) -> None:
    """Facts, files, and every number of the gate."""
    made = datetime.fromtimestamp(manifest.created_at, timezone.utc).isoformat(timespec="seconds")
    facts = {
        "model": f"{manifest.model} version {manifest.version}",
        "digest": manifest.digest,
        "format": f"{manifest.format} {manifest.precision}",
        "source": f"{manifest.source} {manifest.source_digest}",
        "builder": f"{manifest.builder} {manifest.builder_digest}",
        "libraries": ", ".join(f"{name} {version}" for name, version in manifest.libraries.items()),
        "optimisations": "; ".join(manifest.optimisations) or "none",
        "notes": "; ".join(f"{name}: {text}" for name, text in manifest.notes.items()) or "none",
        "size": f"{manifest.size_bytes / 2**20:.1f} MiB, {manifest.parameters:,} parameters, {manifest.nodes} nodes",
        "made": f"{made} in " + ", ".join(f"{stage} {s:.1f} s" for stage, s in manifest.seconds.items()),
        "gate": _verdict(manifest),
    }
    for name, value in facts.items():
        console.print(f"{name:>14}  {value}", highlight=False, markup=False, soft_wrap=True)
    console.print(_gate_table(manifest))
    if manifest.gate.tasks:
        console.print(_task_table(manifest))
    files = Table("file", "bytes", Column("sha-256", overflow="fold"), box=None, header_style="bold")
    for name, record in manifest.files.items():
        files.add_row(name, f"{record.size:,}", record.sha256)
    console.print(files)


def _verdict(manifest: Manifest) -> str:
    gate = manifest.gate
    why = gate.why
    word = f"{gate.shown}: {why}" if why else gate.shown
    return f"{word} ({gate.samples} samples, batch sizes {gate.batch_sizes}, {gate.elapsed_s:.1f} s)"


def _gate_table(manifest: Manifest) -> Table:
    table = Table("output", "against", *NUMBERS, box=None, header_style="bold")
    for name, report in manifest.gate.outputs.items():
        table.add_row(name, "its source", *_numbers(report.against_source))
        if report.alone is not None:
            table.add_row("", "itself alone", *_numbers(report.alone))
    return table


def _task_table(manifest: Manifest) -> Table:
    table = Table("task", "cases", "fp32", "this", "difference", "95 %", "allowed", box=None, header_style="bold")
    for task in manifest.gate.tasks:
        scores = (f"{value:.4f}" for value in (task.reference, task.artifact))
        interval = f"{task.low:+.4f} to {task.high:+.4f}"
        table.add_row(
            task.name, str(task.cases), *scores, f"{task.difference:+.4f}", interval, f"-{task.allowed_drop:g}"
        )
    return table


def _numbers(measured: Difference) -> list[str]:
    values = [getattr(measured, name) for name in NUMBERS]
    return ["" if value is None else f"{value:.4g}" for value in values]
