"""What is known of every form of every model: built or not, the gate's word, the cost here, what is served and why.

A report makes nothing and measures nothing; it reads the build cache, the refusals beside the logs, the costs of this
machine and the published versions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from builder.building.candidates import exclusion_label
from builder.candidate import Candidate
from builder.choosing.choose import GOALS, MAX_ACCURACY_DROP, Choice, Row, choose
from builder.choosing.rows import judged_row
from builder.costing.cost import Costs, machine_facts
from builder.model_spec import ModelSpec
from builder.pipeline import Pipeline
from builder.store import Store
from builder.storing.chosen import Chosen
from builder.storing.key import build_key
from builder.storing.manifest import Manifest
from pixelis.errors import BuildError, PixelisError


class Served(BaseModel):
    """The newest published version.

    Attributes:
        candidate: label of its form.
        why: why it is in this form.
    """

    model_config = ConfigDict(extra="forbid")

    version: int
    candidate: str
    digest: str
    why: str


class ModelReport(BaseModel):
    """One model.

    Attributes:
        rows: every form, excluded ones among them.
        best: what would be chosen for each goal, of what was measured here; empty where nothing was.
        note: why there is no more, for instance a source that is not there.
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    kind: str
    served: Served | None = None
    rows: list[Row]
    best: list[Choice] = Field(default_factory=list)
    note: str = ""

    @property
    def shown(self) -> str | None:
        """Label of the form that pictures and tables mark: the one that is served."""
        return self.served.candidate if self.served else None


class Report(BaseModel):
    """All of them."""

    model_config = ConfigDict(extra="forbid")

    made_at: float
    repository: str
    max_accuracy_drop: float
    machine: dict[str, str]
    models: list[ModelReport]


def collect(
    store: Store, known: Pipeline, models: Sequence[str] = (), max_accuracy_drop: float = MAX_ACCURACY_DROP
) -> Report:
    """The report on `models` (default: all that have an artifact).

    Raises:
        NotFound: a model that the pipeline does not know.
        BuildError: the record of what was chosen cannot be read.
    """
    chosen = [known[name] for name in models] or [model for model in known.models if model.built]
    return Report(
        made_at=round(time.time(), 3),
        repository=str(store.repository),
        max_accuracy_drop=max_accuracy_drop,
        machine=machine_facts(),
        models=[_model(store, model, max_accuracy_drop) for model in chosen],
    )


def _model(store: Store, model: ModelSpec, drop: float) -> ModelReport:
    note, rows = "", []
    try:
        source = model.open_source()
        missing = source.missing()
        if missing:
            note = f"{missing[0]} is not there"
        digest = "" if missing else source.digest()
    except PixelisError as error:
        note, digest = str(error), ""
    for candidate in model.all_candidates:
        rows.append(_row(store, model, candidate, digest, note))
    rows += list(_excluded(model))
    measured = any(row.state == "measured" for row in rows)
    best = [choose(rows, goal, drop) for goal in GOALS] if measured else []
    return ModelReport(model=model.name, kind=model.kind, served=_served(store, model), rows=rows, best=best, note=note)


def _row(store: Store, model: ModelSpec, candidate: Candidate, digest: str, note: str) -> Row:
    row = Row(model=model.name, candidate=candidate.label, state="not built", reason=note or "not in the build cache")
    if not digest:
        return row.model_copy(update={"state": "absent"})
    key = build_key(model.as_candidate(candidate), digest)
    row = row.model_copy(update={"key": key})
    for directory in (store.builds / key / "manifest.json", _refusal(store, model.name, candidate.label)):
        manifest = _read(directory)
        if manifest is not None and manifest.key == key:
            return judged_row(row, manifest, Costs(store.state).find(key))
    return row


def _refusal(store: Store, model: str, label: str) -> Path:
    """Where a build keeps the manifest of what the gate refused."""
    return store.state / "logs" / f"gate-{model}-{label}.json"


def _read(path: Path) -> Manifest | None:
    try:
        return Manifest.read_file(path)
    except BuildError:
        return None


def _excluded(model: ModelSpec) -> Iterator[Row]:
    for exclusion in model.exclusions:
        label = exclusion_label(exclusion)
        yield Row(model=model.name, candidate=label, state="excluded", reason=exclusion.reason)


def _served(store: Store, model: ModelSpec) -> Served | None:
    try:
        manifest = store.manifest(model.name)
    except PixelisError:
        return None
    choice = Chosen(store.repository, store.state).of(model.name)
    label = manifest.candidate.label
    default = "the form that the spec names"
    why = choice.why if choice is not None and choice.label == label else default
    return Served(version=manifest.version or 0, candidate=label, digest=manifest.digest, why=why)
