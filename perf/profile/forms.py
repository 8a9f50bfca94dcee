"""Which models could be served in a quicker form, by what was measured on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from builder.choosing.choose import figure
from builder.reporting.report import ModelReport, collect
from builder.spec import pipeline
from builder.store import Store
from pixelis.errors import PixelisError

WORTH = 0.97
"""Of the time; what saves less is no other form."""


@dataclass(frozen=True)
class Quicker:
    """A form that passed its gate and keeps its accuracy.

    Attributes:
        served: label of the form that is served.
        form: of the quicker one.
        ratio: of their times, each against the original in the same run.
    """

    served: str
    form: str
    ratio: float


def quicker_forms(repository: Path, state: Path) -> dict[str, Quicker]:
    """By model; one that was not measured here has none (`pixelis bench formats` measures)."""
    try:
        found = collect(Store(repository, state), pipeline())
    except PixelisError:
        return {}  # a repository of somebody else's
    return {model.model: quicker for model in found.models if (quicker := _quicker(model)) is not None}


def _quicker(model: ModelReport) -> Quicker | None:
    costs = {row.candidate: row.cost for row in model.rows if row.cost is not None}
    best = next((choice.chosen for choice in model.best if choice.goal == "latency"), None)
    served = model.shown
    if served is None or best is None or served not in costs or best not in costs:
        return None
    now, then = figure(costs[served], "latency"), figure(costs[best], "latency")
    if not now or not then or then / now > WORTH:
        return None
    return Quicker(served, best, then / now)
