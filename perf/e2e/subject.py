"""What is measured: which checkpoint, and in which forms its models are served."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.building.build import build
from builder.choosing.choose import Goal
from builder.commands.modes import fail_with
from builder.costing.cost import Cost, Costs
from builder.reporting.report import collect
from builder.spec import pipeline
from builder.store import Store
from builder.storing.chosen import Choice as Form
from builder.storing.manifest import Manifest
from perf.formats.checkpoints import find_checkpoint, in_use
from pixelis.settings import settings

Watch = Callable[[str, str], None]
FOLDER = "bench/e2e"
"""Of repositories, in the state folder."""


@dataclass(frozen=True)
class Subject:
    """Repositories of one checkpoint.

    Attributes:
        plain_forms: with every model in the form that it has by default.
        served: with every model in the form that is measured.
    """

    plain_forms: Path
    served: Path

    @property
    def differs(self) -> bool:
        """Whether another form than the default one is measured."""
        return self.plain_forms != self.served

    def rows(self) -> list[dict[str, Any]]:
        """A row for each model: its form, and what it takes in memory alone beside the fp32 original, if known."""
        return [_row(manifest, self._cost(manifest)) for manifest in self._manifests()]

    def costs(self) -> dict[str, Cost]:
        """Model -> what was measured on this machine of the form that it is served in."""
        found = {manifest.model or "": self._cost(manifest) for manifest in self._manifests()}
        return {model: cost for model, cost in found.items() if cost is not None}

    def _manifests(self) -> list[Manifest]:
        known, store = pipeline(), Store(self.served, settings().state)
        return [store.manifest(name) for name in known.names if known[name].built and store.latest(name) is not None]

    @staticmethod
    def _cost(manifest: Manifest) -> Cost | None:
        return Costs(settings().state.absolute()).find(manifest.key) or manifest.cost


@contextmanager
def subject(checkpoint: str | None, best: Goal | None, watch: Watch) -> Iterator[Subject]:
    """The repositories, built where they are not there; the checkpoint is that of the settings in here.

    Args:
        checkpoint: `nano`, `90m` or a folder; none = the settings', and the repository that they name.
        best: every model in the form that is best for this and keeps its accuracy, of those that were measured on this
            machine (`pixelis bench formats`); one of which nothing was measured is in its default form. None = all are.
        watch: told what is built.

    Raises:
        PixelisError: no such checkpoint, or a build that fails.
    """
    if checkpoint is None and best is None:
        yield Subject(settings().repository.absolute(), settings().repository.absolute())
        return
    state = settings().state.absolute()
    found = find_checkpoint(checkpoint or "nano", state)
    with in_use(found):
        folder = state / FOLDER / found.name
        default = _built(folder / "default", state, {}, watch)
        forms = {} if best is None else _best(Store(default, state), best)
        yield Subject(default, _built(folder / f"best-{best}", state, forms, watch) if forms else default)


def _best(store: Store, goal: Goal) -> dict[str, Form]:
    """Model -> form, where the best one is not the default."""
    found: dict[str, Form] = {}
    for model in collect(store, pipeline()).models:
        label = next((choice.chosen for choice in model.best if choice.goal == goal), None)
        if label is not None and label != model.shown:
            found[model.model] = Form(label=label, why=f"bench e2e: the best for {goal} here")
    return found


def _built(repository: Path, state: Path, forms: Mapping[str, Form], watch: Watch) -> Path:
    repository.mkdir(parents=True, exist_ok=True)
    others = [name for name in pipeline().names if name not in forms]  # or each run would publish those anew
    fail_with(build(others, default=True, repository=repository, state=state, watch=watch), as_json=False)
    if forms:
        report = build(list(forms), forms=forms, repository=repository, state=state, watch=watch)
        fail_with(report, as_json=False)
    return repository


def _row(manifest: Manifest, cost: Cost | None) -> dict[str, Any]:
    row: dict[str, Any] = {"row": "form", "model": manifest.model, "form": manifest.candidate.label}
    row["weights_mib"] = round(manifest.size_bytes / 2**20, 2)
    if cost is not None and cost.memory is not None and cost.reference_memory is not None:
        row["alone_mib"] = round(cost.memory.model / 2**20, 2)
        row["original_alone_mib"] = round(cost.reference_memory.model / 2**20, 2)
    return row
