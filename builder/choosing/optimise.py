"""`pixelis build --optimize`: build the forms, measure what passed its gate, choose, publish the best.

Every form is built and judged first; what the gate refuses, what loses more accuracy than is allowed and what does not
run here is thrown out, with the reason. The choice is remembered for the repository (`builder.storing.chosen`), so that
a plain `pixelis build` keeps serving it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from builder.building.build import BuildReport, build
from builder.building.candidates import CandidateRow, build_candidates
from builder.building.machine import Device
from builder.building.making import Watch
from builder.candidate import FORMATS, PRECISIONS
from builder.choosing.bundle import Bundle, write_bundle
from builder.choosing.choose import MAX_ACCURACY_DROP, Choice, Goal, Row, choose
from builder.choosing.pareto import save
from builder.choosing.presets import PRESETS, Preset, PresetName, check_preset
from builder.choosing.rows import to_row
from builder.costing.back_off import search_apart
from builder.costing.cost import Costs
from builder.costing.workload import MEASURED
from builder.measure import Measured, Plan, measure
from builder.pipeline import Pipeline
from builder.reporting.html import html
from builder.reporting.report import collect
from builder.spec import pipeline
from builder.store import Store
from builder.storing.chosen import Choice as Form
from builder.storing.manifest import Manifest
from pixelis.errors import PixelisError
from pixelis.settings import settings


class OptimiseReport(BaseModel):
    """What was looked at, what was chosen, and what came of publishing it.

    Attributes:
        rows: every form of every model.
        choices: one for each model that has forms to choose from.
        build: what became of publishing; none = nothing was to be published.
        bundle: what was written into the folder that was asked for.
        page: the report as HTML; `plots`: a PNG for each model. Both in the state folder.
    """

    model_config = ConfigDict(extra="forbid")

    goal: Goal
    preset: PresetName | None = None
    max_accuracy_drop: float
    rows: list[Row]
    choices: list[Choice]
    build: BuildReport | None = None
    bundle: Bundle | None = None
    page: str | None = None
    plots: list[str] = Field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> list[str]:
        """Models of which nothing could be chosen or published; the version that was there keeps serving."""
        unchosen = [choice.model for choice in self.choices if choice.chosen is None]
        return unchosen + [outcome.model for outcome in (self.build.failed if self.build else [])]


def optimise(
    models: Sequence[str] = (),
    goal: Goal | None = None,
    *,
    preset: PresetName | Preset | None = None,
    formats: Collection[str] | None = None,
    precisions: Collection[str] | None = None,
    max_accuracy_drop: float | None = None,
    device: Device | None = None,
    jobs: int = 1,
    repository: Path | None = None,
    state: Path | None = None,
    spec: Pipeline | None = None,
    publish: bool = True,
    output: Path | None = None,
    plan: Plan | None = None,
    watch: Watch = lambda model, stage: None,
) -> OptimiseReport:
    """Build, measure, choose and publish.

    Args:
        models: names; default: all that have an artifact.
        goal: what is made best; default: the preset's, or latency.
        preset: forms, goal and accuracy to start from; what is given beside it wins.
        formats, precisions: forms that are looked at; default: the preset's, or all.
        max_accuracy_drop: the most that a task may lose, in points of 1; default: the preset's, or 0.01.
        device: narrows the forms to those that are worth it there; default: every one that can be built.
        jobs: how many forms are built at the same time; they are measured one after the other.
        repository, state, spec: default: the settings', and `builder.spec.pipeline()`.
        publish: whether the winners become the next versions.
        output: a new folder for a bundle of the winners that runs without Triton; then nothing is published.
        plan, watch: how long is measured; who is told what happens.

    Raises:
        NotFound: a model that the pipeline does not know.
        BuildError: another build is at work, or `output` has content.
        SetupError: the preset is not for this machine.
    """
    started = time.perf_counter()
    terms = _terms(preset, goal, formats, precisions, max_accuracy_drop)
    known, store = spec or pipeline(), Store(repository or settings().repository, state or settings().state)
    run = _Run(store, known, terms, plan or Plan(), watch)
    report = run.choose(models or known.names, device, jobs)
    if output is not None:
        report = report.model_copy(update={"bundle": run.bundle(report, output)})
    elif publish:
        report = report.model_copy(update={"build": run.publish(report, models or known.names)})
    report = report.model_copy(update=_pictures(store, known, report))
    return report.model_copy(update={"seconds": round(time.perf_counter() - started, 3)})


@dataclass(frozen=True)
class _Terms:
    """What decides: the preset, and what is given beside it."""

    preset: PresetName | None
    goal: Goal
    formats: Collection[str]
    precisions: Collection[str]
    max_accuracy_drop: float


def _terms(
    preset: PresetName | Preset | None,
    goal: Goal | None,
    formats: Collection[str] | None,
    precisions: Collection[str] | None,
    drop: float | None,
) -> _Terms:
    base = PRESETS[preset] if isinstance(preset, str) else preset
    if base is None:
        most = MAX_ACCURACY_DROP if drop is None else drop
        return _Terms(None, goal or "latency", formats or FORMATS, precisions or PRECISIONS, most)
    check_preset(base)
    most = base.max_accuracy_drop if drop is None else drop
    return _Terms(base.name, goal or base.goal, formats or base.formats, precisions or base.precisions, most)


@dataclass(frozen=True)
class _Run:
    store: Store
    known: Pipeline
    terms: _Terms
    plan: Plan
    watch: Watch

    def choose(self, models: Sequence[str], device: Device | None, jobs: int) -> OptimiseReport:
        """Build and measure the forms; of each model the best, with the batch size that is worth while."""
        forms = build_candidates(
            [name for name in models if self.known[name].kind in MEASURED],
            self.terms.formats,
            self.terms.precisions,
            device=device,
            jobs=jobs,
            repository=self.store.repository,
            state=self.store.state,
            spec=self.known,
            watch=self.watch,
        )
        rows = measured_rows(self.store, self.known, forms.rows, self.plan, self.watch)
        names = list(dict.fromkeys(row.model for row in rows))
        goal, drop = self.terms.goal, self.terms.max_accuracy_drop
        choices = [choose([row for row in rows if row.model == name], goal, drop) for name in names]
        return OptimiseReport(
            goal=goal,
            preset=self.terms.preset,
            max_accuracy_drop=drop,
            rows=_with_batching(self.store, self.known, rows, choices, self.plan, self.watch),
            choices=choices,
        )

    def bundle(self, report: OptimiseReport, output: Path) -> Bundle:
        """The winners in a folder that runs without Triton."""
        winners = _winners(report.choices)
        keys = {row.model: row.key for row in report.rows if row.key and (row.model, row.candidate) in winners}
        return write_bundle(self.store, self.known, keys, output)

    def publish(self, report: OptimiseReport, models: Sequence[str]) -> BuildReport | None:
        """The winners as the next versions, and models that have no choice of forms as they are; none if none is."""
        left = [name for name in models if name not in report.failed]
        if not left:
            return None
        forms = {
            choice.model: Form(label=choice.chosen, why=f"{report.goal}: {choice.why}")
            for choice in report.choices
            if choice.chosen
        }
        repository, state = self.store.repository, self.store.state
        return build(left, forms=forms, repository=repository, state=state, spec=self.known, watch=self.watch)


def measured_rows(store: Store, known: Pipeline, forms: Sequence[CandidateRow], plan: Plan, watch: Watch) -> list[Row]:
    """Every form with its cost; what was built and runs here is measured now, unless this machine knows it."""
    rows = []
    for model in dict.fromkeys(form.model for form in forms):
        mine = [form for form in forms if form.model == model]
        keys = {form.candidate: form.key for form in mine if form.key and not form.not_executed}
        try:
            found = measure(store, known, model, keys, plan, watch) if keys else Measured({}, {})
        except PixelisError as error:
            found = Measured({}, dict.fromkeys(keys, str(error)))
        for form in mine:
            manifest = Manifest.read(store.builds / form.key) if form.key else None
            rows.append(to_row(form, manifest, found.costs.get(form.candidate), found.failed.get(form.candidate, "")))
    return rows


def _with_batching(
    store: Store, known: Pipeline, rows: list[Row], choices: Sequence[Choice], plan: Plan, watch: Watch
) -> list[Row]:
    """`rows`, with the batch size that is worth while for those that were chosen; kept with their cost."""
    chosen, found = _winners(choices), []
    for row in rows:
        if (row.model, row.candidate) in chosen and row.cost is not None and row.cost.batching is None:
            watch(row.model, f"{row.candidate}: batch size")
            log = store.state / "logs" / f"back-off-{row.model}.log"
            try:
                batching = search_apart(known, row.model, store.builds / row.cost.key, plan.turns, log)
                cost = row.cost.model_copy(update={"batching": batching})
            except PixelisError as error:
                cost = row.cost.model_copy(update={"notes": [*row.cost.notes, f"no batch size: {error}"]})
            Costs(store.state).keep(cost)
            row = row.model_copy(update={"cost": cost})
        found.append(row)
    return found


def _winners(choices: Sequence[Choice]) -> set[tuple[str, str]]:
    return {(choice.model, choice.chosen) for choice in choices if choice.chosen is not None}


def _pictures(store: Store, known: Pipeline, report: OptimiseReport) -> dict[str, str | list[str]]:
    """Why, to look at: `state/reports/forms.html` and a PNG for each model."""
    folder, plots = store.state / "reports", []
    for choice in report.choices:
        rows = [row for row in report.rows if row.model == choice.model]
        path = folder / f"{choice.model}.png"
        if save(choice.model, rows, choice.chosen, path):
            plots.append(str(path))
    names = [choice.model for choice in report.choices]
    if not names:
        return {"plots": plots}
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "forms.html"
    page.write_text(html(collect(store, known, names, report.max_accuracy_drop)), encoding="utf-8")
    return {"plots": plots, "page": str(page)}
