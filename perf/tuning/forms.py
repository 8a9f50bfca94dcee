"""Forms of models that the build cache holds and that may be served: judged, accurate enough, running here."""

from __future__ import annotations

from builder.choosing.choose import Row, figure
from builder.pipeline import Pipeline
from builder.reporting.report import collect
from builder.store import Store

USABLE = ("measured", "not measured")
"""States of forms that were built, passed their gate and run here."""

MOST = 3
"""Forms of a model: what others take longer for alone they would hardly do quicker together."""


def allowed(store: Store, known: Pipeline, most_lost: float) -> dict[str, dict[str, str]]:
    """What may be served in place of what is.

    Args:
        store: the repository, and the build cache beside it.
        known: the pipeline.
        most_lost: points of 1 that a task may lose at the gate.

    Returns:
        Model -> label -> key in the build cache: the form that is served first, then those that are quickest by what
        this machine measured of them.
    """
    found: dict[str, dict[str, str]] = {}
    for model in collect(store, known, max_accuracy_drop=most_lost).models:
        rows = [row for row in model.rows if row.state in USABLE and row.key and (row.accuracy_drop or 0) <= most_lost]
        if model.served is None or model.served.candidate not in [row.candidate for row in rows]:
            continue
        rows.sort(key=lambda row: (row.candidate != model.shown, _time(row)))
        if len(rows) > 1:
            found[model.model] = {row.candidate: row.key or "" for row in rows[:MOST]}
    return found


def _time(row: Row) -> float:
    """Relative to the original; what was not measured comes last."""
    known = figure(row.cost, "latency") if row.cost else None
    return float("inf") if known is None else known
