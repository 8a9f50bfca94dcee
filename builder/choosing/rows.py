"""From what became of a form, its manifest and its cost to one row."""

from __future__ import annotations

from typing import Any

from builder.building.candidates import CandidateRow
from builder.choosing.choose import Row
from builder.costing.cost import Cost
from builder.gating.verdict import Verdict
from builder.storing.manifest import Manifest
from pixelis.errors import GateFailed


def to_row(form: CandidateRow, manifest: Manifest | None, cost: Cost | None, unmeasured: str = "") -> Row:
    """One form as choosing and reports see it.

    Args:
        form: what became of building it.
        manifest: of the artifact, where there is one.
        cost: what was measured of it on this machine.
        unmeasured: why there is no cost.
    """
    row = Row(model=form.model, candidate=form.candidate, state="failed", reason=form.reason or "", key=form.key)
    if form.state == "skipped":
        return row.model_copy(update={"state": "excluded"})
    if form.state in ("excluded", "absent"):
        return row.model_copy(update={"state": form.state})
    if form.code == GateFailed.code:
        return row.model_copy(update={"state": "refused", "verdict": "fail"})
    return row if manifest is None else judged_row(row, manifest, cost, unmeasured)


def judged_row(row: Row, manifest: Manifest, cost: Cost | None, unmeasured: str = "") -> Row:
    """`row` with what the manifest's gate says, and its cost where it was measured."""
    gate, judged = manifest.gate, _judged(manifest.gate)
    if not gate.passed:
        return row.model_copy(update={**judged, "state": "refused", "reason": "; ".join(gate.reasons)})
    if gate.not_executed:
        return row.model_copy(update={**judged, "state": "not executed", "reason": gate.not_executed})
    if cost is None:
        reason = unmeasured or "it was not measured on this machine"
        return row.model_copy(update={**judged, "state": "not measured", "reason": reason})
    return row.model_copy(update={**judged, "state": "measured", "reason": "", "cost": cost})


def _judged(gate: Verdict) -> dict[str, Any]:
    drop = max((0.0 - task.difference for task in gate.tasks), default=None)
    return {"verdict": gate.verdict, "warnings": gate.warnings, "tasks": gate.tasks, "accuracy_drop": drop}
