"""Which form of a model is the best for a goal, among those that are right and that run here."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from builder.costing.cost import Cost
from builder.gating.verdict import TaskReport

Goal = Literal["latency", "throughput", "memory", "size"]
RowState = Literal["measured", "refused", "failed", "not measured", "not executed", "excluded", "absent", "not built"]
GOALS: tuple[Goal, ...] = get_args(Goal)
MAX_ACCURACY_DROP = 0.01
NOISE = 0.02
"""Two figures nearer to each other than this are one: then the more accurate, and then the smaller one is taken."""


class Row(BaseModel):
    """One form of one model, as choosing and reports see it.

    Attributes:
        state: `measured`; or `refused` (by the gate), `failed` (not built), `not measured`, `not executed` (does not
            run on this machine), `excluded` (by the spec), `absent` (no source) or `not built`.
        reason: why it is in this state, if it is not measured.
        verdict: of the gate, if it was judged: pass, warn or fail.
        warnings: what the gate said beside a pass.
        tasks: scores of the original and of the form.
        accuracy_drop: the largest loss of a task's score, in points of 1, negative = a gain; none = there is no task.
        cost: what was measured here.
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    candidate: str
    state: RowState
    reason: str = ""
    key: str | None = None
    verdict: str = ""
    warnings: list[str] = Field(default_factory=list)
    tasks: list[TaskReport] = Field(default_factory=list)
    accuracy_drop: float | None = None
    cost: Cost | None = None


class Choice(BaseModel):
    """What was chosen of one model, and why.

    Attributes:
        chosen: its label; none = nothing may be chosen.
        why: in words.
        pareto: labels that no other form beats in latency, memory and accuracy at once.
        thrown_out: why each of the others could not be chosen.
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    goal: Goal
    chosen: str | None
    why: str
    pareto: list[str] = Field(default_factory=list)
    thrown_out: dict[str, str] = Field(default_factory=dict)


def figure(cost: Cost, goal: Goal) -> float | None:
    """What is made small: relative time, relative time an item, bytes of memory, bytes on disk; none = not measured.

    Times are relative to the original in the same run, so that forms measured in different runs compare: the geometric
    mean over the cases of batch 1 (latency), or the best over batch sizes (throughput).
    """
    if goal == "memory":
        return float(cost.memory.model) if cost.memory else None
    if goal == "size":
        return float(cost.size_bytes)
    if goal == "latency":
        ratios = [1 / case.speedup for case in cost.cases if case.batch == 1 and case.speedup > 0]
        return exp(sum(map(log, ratios)) / len(ratios)) if ratios else None
    batched = [case for case in cost.cases if not case.case.startswith(("bucket", "prefill"))]
    rates = [case.reference.throughput_per_s * case.speedup for case in batched]
    base = next((case.reference.throughput_per_s for case in batched if case.batch == 1), 0.0)
    return base / max(rates) if base and max(rates) > 0 else None


def choose(rows: Sequence[Row], goal: Goal, max_accuracy_drop: float = MAX_ACCURACY_DROP) -> Choice:
    """The best of one model's `rows`.

    Args:
        rows: every form of one model.
        goal: what is made small (or, for throughput, large).
        max_accuracy_drop: the most that a task may lose, in points of 1.

    Returns:
        The choice; nothing is chosen where no form is left.
    """
    if not rows or len({row.model for row in rows}) != 1:
        raise ValueError("choose wants the rows of one model")
    thrown_out, left = {}, []
    for row in rows:
        reason = _reason_against(row, goal, max_accuracy_drop)
        if reason:
            thrown_out[row.candidate] = reason
        else:
            left.append(row)
    pareto = pareto_front(left)
    if not left:
        why = "no form passed its gate, keeps the accuracy that is asked for, and runs here"
        return Choice(model=rows[0].model, goal=goal, chosen=None, why=why, thrown_out=thrown_out)
    best = _best(left, goal)
    why = _why(best, left, goal)
    return Choice(model=best.model, goal=goal, chosen=best.candidate, why=why, pareto=pareto, thrown_out=thrown_out)


def pareto_front(rows: Sequence[Row]) -> list[str]:
    """Labels of measured rows that no other one beats: as good in time, memory and accuracy, and better in one."""
    points = {row.candidate: _point(row) for row in rows if row.cost is not None}
    return [
        label
        for label, point in points.items()
        if not any(_beats(other, point) for name, other in points.items() if name != label)
    ]


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def _point(row: Row) -> tuple[float, ...]:
    assert row.cost is not None
    latency, memory = figure(row.cost, "latency"), figure(row.cost, "memory")
    unknown = float("inf")
    return (
        unknown if latency is None else latency,
        float(row.cost.size_bytes) if memory is None else memory,
        max(row.accuracy_drop or 0.0, 0.0),
    )


def _reason_against(row: Row, goal: Goal, max_accuracy_drop: float) -> str:
    if row.state != "measured":
        return f"{row.state}: {row.reason}" if row.reason else row.state
    if row.accuracy_drop is not None and row.accuracy_drop > max_accuracy_drop:
        return f"loses {100 * row.accuracy_drop:.2f} points of accuracy, {100 * max_accuracy_drop:g} are allowed"
    if row.cost is None or figure(row.cost, goal) is None:
        return f"its {goal} was not measured"
    return ""


def _value(row: Row, goal: Goal) -> float:
    assert row.cost is not None
    value = figure(row.cost, goal)
    assert value is not None
    return value


def _best(rows: Sequence[Row], goal: Goal) -> Row:
    """Lowest figure; within `NOISE` of it the most accurate, then the smallest, then the first by name."""
    lowest = min(_value(row, goal) for row in rows)
    near = [row for row in rows if _value(row, goal) <= lowest * (1 + NOISE)]

    def key(row: Row) -> tuple[float, float, str]:
        assert row.cost is not None
        return max(row.accuracy_drop or 0.0, 0.0), row.cost.size_bytes, row.candidate

    return min(near, key=key)


def _why(best: Row, left: Sequence[Row], goal: Goal) -> str:
    others = [row for row in left if row.candidate != best.candidate]
    said = describe(best, goal)
    if not others:
        said += ", the only form left"
    else:
        second = min(others, key=lambda row: _value(row, goal))
        if _value(second, goal) < _value(best, goal):
            better = "smaller" if best.accuracy_drop == second.accuracy_drop else "more accurate"
            said += f", within {100 * NOISE:g} % of {second.candidate}, and {better}"
        else:
            said += f", the best of {len(left)} forms that may be chosen; the next is {second.candidate}"
            said += f" with {describe(second, goal)}"
    if best.accuracy_drop is not None:
        said += f"; accuracy {0.0 - 100 * best.accuracy_drop:+.2f} points"
    return said


def describe(row: Row, goal: Goal) -> str:
    """The row's figure for `goal`, in words."""
    value = _value(row, goal)
    if goal == "latency":
        return f"{1 / value:.2f} times the original's speed at batch 1"
    if goal == "throughput":
        return f"{1 / value:.2f} times the original's items a second at batch 1"
    return f"{value / 2**20:.1f} MiB of {'resident memory' if goal == 'memory' else 'artifact'}"
