"""Every form of a model, built and judged into the cache; nothing of it is published.

built        exported, optimised and judged now
from cache   this very form lies in the build cache
excluded     the spec says why the model is not built so
skipped      not for the device that was asked for, and why
absent       an optional model whose source files are not there
failed       why; the other forms go on
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from builder.building.device import anywhere, for_device
from builder.building.machine import Choice as Kept
from builder.building.machine import Device
from builder.building.making import Watch, make_cached
from builder.building.together import together
from builder.candidate import FORMATS, PRECISIONS, Exclusion
from builder.model_spec import ModelSpec
from builder.pipeline import Pipeline
from builder.spec import pipeline
from builder.store import Store
from builder.storing.disk import typed
from builder.storing.key import build_key
from builder.storing.manifest import Manifest
from pixelis.errors import GateFailed, PixelisError
from pixelis.settings import settings

State = Literal["built", "from cache", "excluded", "skipped", "absent", "failed"]


class CandidateRow(BaseModel):
    """What became of one form of one model.

    Attributes:
        candidate: its label.
        key: under which it lies in the build cache.
        gate: the verdict: `passed`, `warned`, `failed`, or `not executed` where its structure alone was looked at.
        not_executed: why it was built and not run; empty where it ran.
    """

    model: str
    candidate: str
    state: State
    key: str | None = None
    digest: str | None = None
    size_bytes: int | None = None
    gate: str | None = None
    not_executed: str = ""
    seconds: float = 0.0
    reason: str | None = None
    code: str | None = None


class CandidatesReport(BaseModel):
    """What became of all of them.

    Attributes:
        asked: the models.
    """

    asked: list[str]
    rows: list[CandidateRow]
    seconds: float

    @property
    def failed(self) -> list[CandidateRow]:
        """Forms that the spec supports and that did not come about."""
        return [row for row in self.rows if row.state == "failed"]


def build_candidates(
    models: Sequence[str] = (),
    formats: Collection[str] = FORMATS,
    precisions: Collection[str] = PRECISIONS,
    *,
    force: bool = False,
    device: Device | None = None,
    jobs: int = 1,
    repository: Path | None = None,
    state: Path | None = None,
    spec: Pipeline | None = None,
    watch: Watch = lambda model, stage: None,
) -> CandidatesReport:
    """Build every form of `models` (default: all that have an artifact) in `formats` and `precisions`.

    With a `device` only those that are worth it there; why is noted in their manifests, and why the others are skipped
    in their rows. Without one every form is built that can be, whether it runs here or not.

    Args:
        models: names.
        formats: those that are wanted.
        precisions: those that are wanted.
        force: build again what lies in the cache.
        device: see above.
        jobs: how many are built at the same time, each in a process of its own.
        repository: the Triton model repository; default: the settings'.
        state: build cache and logs; default: the settings'.
        spec: the pipeline; default: `builder.spec.pipeline()`.
        watch: is told what happens, from any thread.

    Raises:
        NotFound: a model that the pipeline does not know.
        BuildError: another build is at work.
    """
    started = time.perf_counter()
    known = spec or pipeline()
    chosen = [known[name] for name in models] or [model for model in known.models if model.built]
    store = Store(repository or settings().repository, state or settings().state)
    work: list[tuple[ModelSpec, Kept]] = []
    for model in chosen:
        wanted = [c for c in model.all_candidates if c.format in formats and c.precision in precisions]
        kept = for_device(device, wanted, model.kind) if device else anywhere(wanted)
        work += [(model, choice) for choice in kept]
    with store.locked():
        made = together(work, jobs, lambda each: _one(store, known, *each, force, watch))
    rows: list[CandidateRow] = []
    for model in chosen:
        rows += [row for row in made if row.model == model.name]
        rows += _excluded(model, formats, precisions)
    return CandidatesReport(
        asked=[model.name for model in chosen], rows=rows, seconds=round(time.perf_counter() - started, 3)
    )


def _one(store: Store, known: Pipeline, model: ModelSpec, choice: Kept, force: bool, watch: Watch) -> CandidateRow:
    started, candidate = time.perf_counter(), choice.candidate
    row = CandidateRow(model=model.name, candidate=candidate.label, state="failed")
    if not choice.kept:
        return row.model_copy(update={"state": "skipped", "reason": choice.reason})
    try:
        with typed(f"building {model.name} as {candidate.label}"):
            row = _made(store, known, model.as_candidate(candidate), row, force, watch)
            if row.key and choice.reason:
                store.note(row.key, "device", choice.reason)
    except PixelisError as error:
        row = row.model_copy(update={"reason": str(error), "code": error.code})
        if isinstance(error, GateFailed):
            row = row.model_copy(update={"gate": "failed"})
    watch(model.name, f"{candidate.label}: {row.state}")
    return row.model_copy(update={"seconds": round(time.perf_counter() - started, 3)})


def _made(store: Store, known: Pipeline, spec: ModelSpec, row: CandidateRow, force: bool, watch: Watch) -> CandidateRow:
    source = spec.open_source()
    missing = source.missing()
    if missing:
        state = "failed" if spec.required else "absent"
        return row.model_copy(update={"state": state, "reason": f"{missing[0]} is not there"})
    key = build_key(spec, source.digest())
    manifest = None if force else store.cached(key)
    state = "built" if manifest is None else "from cache"
    if manifest is None:
        manifest = make_cached(store, known, spec, key, lambda name, stage: watch(name, f"{row.candidate}: {stage}"))
    return row.model_copy(update={"state": state, **_facts(manifest)})


def _facts(manifest: Manifest) -> dict[str, object]:
    return {
        "key": manifest.key,
        "digest": manifest.digest,
        "size_bytes": manifest.size_bytes,
        "gate": manifest.gate.shown,
        "reason": manifest.gate.not_executed or manifest.gate.why or None,
        "not_executed": manifest.gate.not_executed,
    }


def _excluded(model: ModelSpec, formats: Collection[str], precisions: Collection[str]) -> Iterator[CandidateRow]:
    for exclusion in model.exclusions:
        if exclusion.format in formats and (exclusion.precision is None or exclusion.precision in precisions):
            yield CandidateRow(
                model=model.name, candidate=exclusion_label(exclusion), state="excluded", reason=exclusion.reason
            )


def exclusion_label(exclusion: Exclusion) -> str:
    """What it speaks of, as candidates are called: a format alone, or with precision and quantisation."""
    parts = (exclusion.format, exclusion.precision, exclusion.quantization)
    return "-".join(part for part in parts if part)
