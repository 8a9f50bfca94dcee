"""From times to figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

import numpy as np

from perf.policy.load import Run
from pixelis.schema import Claim


def quantile(values: Sequence[float], q: float) -> float:
    """The q-th quantile, linear between neighbours; NaN of nothing."""
    return float(np.quantile(values, q)) if values else float("nan")


def spread(name: str, values: Sequence[float], digits: int = 2) -> dict[str, Any]:
    """The median over rounds, and the least and the most."""
    if not values:
        return {name: None}
    ends = [round(float(value), digits) for value in (min(values), max(values))]
    return {name: round(median(values), digits), f"{name}_rounds": ends}


def service(runs: Iterable[Run]) -> dict[str, Any]:
    """How the requests of all rounds were served: time to first token, gaps between tokens, whole latency."""
    kept = list(runs)
    answers = [answer for run in kept for answer in run.answered]
    gaps = [gap for answer in answers for gap in answer.gaps_s]
    first = [answer.first_s for answer in answers]
    whole = [answer.latency_s for answer in answers]
    row: dict[str, Any] = {"requests": sum(len(run.answers) for run in kept)}
    row["failed"] = row["requests"] - len(answers)
    for title, values in (("first_token", first), ("between_tokens", gaps), ("latency", whole)):
        for word, q in (("p50", 0.5), ("p99", 0.99)):
            row[f"{title}_{word}_ms"] = round(1e3 * quantile(values, q), 2) if values else None
    errors = sorted({answer.error for run in kept for answer in run.answers if answer.error is not None})
    return {**row, "errors": errors[:3]} if errors else row


def at_least(what: str, target: float, values: Sequence[float], unit: str = "x") -> Claim:
    """A claim on the median over rounds that more is better of; the spread is said."""
    measured = round(median(values), 3)
    return Claim(claim=_told(what, values), target=target, measured=measured, unit=unit, met=measured >= target)


def at_most(what: str, target: float, values: Sequence[float], unit: str = "x") -> Claim:
    """A claim on the median over rounds that less is better of; the spread is said."""
    measured = round(median(values), 3)
    return Claim(claim=_told(what, values), target=target, measured=measured, unit=unit, met=measured <= target)


def _told(what: str, values: Sequence[float]) -> str:
    return f"{what} ({min(values):.3g}-{max(values):.3g} over rounds)" if len(values) > 1 else what
