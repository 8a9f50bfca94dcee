"""Builds, judges and measures the forms of each checkpoint, and chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from builder.choosing.choose import Choice, Goal, Row
from builder.choosing.optimise import OptimiseReport, optimise
from builder.costing.cost import CaseCost, Cost
from builder.costing.workload import MEASURED
from builder.measure import Plan
from builder.spec import pipeline
from perf.formats.checkpoints import Checkpoint, in_use
from perf.formats.claims import claims
from perf.machine import machine, versions
from pixelis.schema import Measurement

OF_CHECKPOINT = ("vision_encoder", "policy")
"""Models that are made of the checkpoint; the others do not change with it."""


@dataclass(frozen=True)
class Asked:
    """What `pixelis bench formats` was asked for.

    Attributes:
        models: names; none = all with the first checkpoint, those made of it with the others.
    """

    models: tuple[str, ...]
    formats: tuple[str, ...]
    precisions: tuple[str, ...]
    goal: Goal
    max_accuracy_drop: float
    plan: Plan
    command: str


@dataclass(frozen=True)
class Found:
    """The report on one checkpoint."""

    checkpoint: Checkpoint
    report: OptimiseReport


def bench(asked: Asked, checkpoints: Sequence[Checkpoint], watch: Callable[[str, str], None]) -> Measurement:
    """The measurement; a figure that this machine knows of the very same artifact is not measured again."""
    found = []
    for number, checkpoint in enumerate(checkpoints):
        with in_use(checkpoint):
            report = optimise(
                _models(asked, first=number == 0),
                asked.goal,
                formats=asked.formats,
                precisions=asked.precisions,
                max_accuracy_drop=asked.max_accuracy_drop,
                publish=False,
                plan=asked.plan,
                watch=watch,
            )
        found.append(Found(checkpoint, report))
    rows = [line for one in found for line in _rows(one)]
    made = [claim for one in found for claim in claims(one.checkpoint, one.report)]
    facts = {**machine(), "threads": 1, "rounds": asked.plan.turns.rounds}
    return Measurement(
        name="bench formats", command=asked.command, machine=facts, versions=versions(), rows=rows, claims=made
    )


def _models(asked: Asked, *, first: bool) -> tuple[str, ...]:
    if asked.models and first:
        return asked.models
    known = pipeline()
    return tuple(
        name
        for name in asked.models or known.names
        if known[name].kind in MEASURED and (first or name in OF_CHECKPOINT)
    )


def _rows(found: Found) -> list[dict[str, Any]]:
    """A row for each form (`row` = form), one for each case that was timed (timing), one for each choice."""
    chosen = {choice.model: choice for choice in found.report.choices}
    lines = []
    for row in found.report.rows:
        named = {"checkpoint": found.checkpoint.name, "model": row.model, "candidate": row.candidate}
        lines.append({"row": "form", **named, **_form(row, chosen.get(row.model))})
        lines += [{"row": "timing", **named, **_timing(case)} for case in (row.cost.cases if row.cost else [])]
    for choice in found.report.choices:
        lines.append({"row": "choice", "checkpoint": found.checkpoint.name, **choice.model_dump()})
    return lines


def _form(row: Row, choice: Choice | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "state": row.state,
        "reason": row.reason or None,
        "gate": row.verdict or None,
        "accuracy_drop": row.accuracy_drop,
        "chosen": choice is not None and choice.chosen == row.candidate,
        "pareto": choice is not None and row.candidate in choice.pareto,
    }
    return {**made, **_cost(row.cost)} if row.cost else made


def _cost(cost: Cost) -> dict[str, Any]:
    firsts = [case.speedup for case in cost.cases if case.batch == 1]
    return {
        "speedup_batch_1": round(median(firsts), 3) if firsts else None,
        "size_mib": _mib(cost.size_bytes),
        "weights_mib": _mib(cost.weight_bytes) if cost.weight_bytes else None,
        "weights_saved": _share(cost.weights_saved),
        "memory_mib": _mib(cost.memory.model) if cost.memory else None,
        "reference_memory_mib": _mib(cost.reference_memory.model) if cost.reference_memory else None,
        "memory_saved": _share(cost.memory_saved),
        "process_memory_mib": _mib(cost.memory.ran) if cost.memory else None,
        "process_memory_saved": _share(cost.process_memory_saved),
        "build_s": cost.build_s,
        "reference": cost.reference,
        "notes": cost.notes or None,
    }


def _timing(case: CaseCost) -> dict[str, Any]:
    timing = case.timing.model_dump()
    original = {f"reference_{name}": value for name, value in case.reference.model_dump().items()}
    facts = {"case": case.case, "batch": case.batch, "shape": case.shape}
    ratio = {"speedup": case.speedup, "speedup_low": case.speedup_low, "speedup_high": case.speedup_high}
    return {**facts, **timing, **original, **ratio}


def _mib(size: float) -> float:
    return round(size / 2**20, 2)


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4) + 0.0  # no -0
