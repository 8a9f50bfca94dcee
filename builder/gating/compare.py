"""Numbers that say how far one array is from another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from builder.tolerance import Tolerance

CLOSE = 0.8
"""Share of an allowance from which on a number is worth a warning."""
RELATIVE_FLOOR = 1e-3
"""Elements nearer to zero than this take no part in the relative error: it would measure rounding of nothing."""


class Difference(BaseModel):
    """An answer against its reference. Floating-point outputs have all but `equal`, others `equal` alone.

    Attributes:
        max_abs: largest absolute error.
        mean_abs: mean absolute error.
        max_rel: largest relative error, over elements of at least `RELATIVE_FLOOR`.
        excess: largest `|error| - max_rel_allowed * |reference|`; what `max_abs` of the tolerance is held against.
        cosine: smallest cosine of a batch item.
        scale: least-squares slope of answer against reference: 1 where nothing is scaled.
        argmax: share of positions whose arg-max over the last axis agrees, ties aside.
        equal: share of equal elements.
        elements: how many elements were compared.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Literal["float", "exact"]
    max_abs: float | None = None
    mean_abs: float | None = None
    max_rel: float | None = None
    excess: float | None = None
    cosine: float | None = None
    scale: float | None = None
    argmax: float | None = None
    equal: float | None = None
    elements: int

    def faults(self, allowed: Tolerance) -> list[str]:
        """In what it is outside `allowed`; a number that is not one is outside."""
        return [str(check) for check in self._checks(allowed) if not check.used <= 1]

    def close_calls(self, allowed: Tolerance) -> list[str]:
        """In what it is inside, but has used up more than `CLOSE` of what is allowed."""
        near = [check for check in self._checks(allowed) if CLOSE < check.used <= 1]
        return [f"{check.what} {_text(check.value)} is close to its limit {check.limit:g}" for check in near]

    def _checks(self, allowed: Tolerance) -> list[_Check]:
        if self.kind == "exact":
            return [_below("share of equal elements", self.equal, allowed.integer)]
        return [
            _above(f"error beyond {allowed.max_rel:g} relative", self.excess, allowed.max_abs),
            _above("mean absolute error", self.mean_abs, allowed.mean_abs),
            _below("cosine", self.cosine, allowed.cosine),
            _above("scale is off by", None if self.scale is None else abs(self.scale - 1), allowed.scale),
            _below("arg-max agreement", self.argmax, allowed.argmax),
        ]


@dataclass(frozen=True)
class _Check:
    """A number against its limit. `used` is the share of the allowance that it takes: over 1 or NaN is a fault."""

    what: str
    value: float | None
    sign: str
    limit: float
    used: float

    def __str__(self) -> str:
        return f"{self.what} {_text(self.value)} {self.sign} {self.limit:g}"


def _above(what: str, value: float | None, limit: float) -> _Check:
    return _Check(what, value, ">", limit, _used(value, limit))


def _below(what: str, value: float | None, limit: float) -> _Check:
    return _Check(what, value, "<", limit, _used(None if value is None else 1 - value, 1 - limit))


def _used(value: float | None, allowance: float) -> float:
    if value is None or math.isnan(value):
        return math.nan
    if value > allowance:
        return math.inf
    return min(value / allowance, 1.0) if allowance > 0 else 0.0


def _text(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.6g}"


def difference(answer: NDArray[np.generic], reference: NDArray[np.generic], allowed: Tolerance) -> Difference:
    """`answer` against `reference`, which have one shape (batch first) and type.

    Args:
        answer: what the artifact said.
        reference: what the source says.
        allowed: its `max_rel` and `tie` enter `excess` and `argmax`.
    """
    if not np.issubdtype(reference.dtype, np.floating):
        same = answer == reference
        return Difference(kind="exact", equal=float(np.mean(same)) if same.size else 1.0, elements=int(same.size))
    a, r = answer.astype(np.float64), reference.astype(np.float64)
    if not a.size:
        nothing = dict.fromkeys(("max_abs", "mean_abs", "max_rel", "excess"), 0.0)
        return Difference(kind="float", **nothing, cosine=1, scale=1, argmax=1, elements=0)
    if not (np.isfinite(a).all() and np.isfinite(r).all()):
        return Difference(kind="float", elements=int(a.size))
    error, size = np.abs(a - r), np.abs(r)
    large = size >= RELATIVE_FLOOR
    return Difference(
        kind="float",
        max_abs=float(error.max()),
        mean_abs=float(error.mean()),
        max_rel=float((error[large] / size[large]).max()) if large.any() else 0.0,
        excess=float(max((error - allowed.max_rel * size).max(), 0.0)),
        cosine=_cosine(a, r),
        scale=_scale(a, r),
        argmax=_argmax(a, r, allowed.tie),
        elements=int(a.size),
    )


def _cosine(a: NDArray[np.float64], r: NDArray[np.float64]) -> float:
    """The smallest over batch items. Two zero vectors point the same way, a zero and another do not."""
    a, r = a.reshape(len(a), -1), r.reshape(len(r), -1)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(r, axis=1)
    both_zero = ~a.any(axis=1) & ~r.any(axis=1)
    cosines = np.where(norms > 0, (a * r).sum(axis=1) / np.where(norms > 0, norms, 1.0), both_zero)
    return float(cosines.min())


def _scale(a: NDArray[np.float64], r: NDArray[np.float64]) -> float | None:
    """The slope `<a, r> / <r, r>`. Against nothing, nothing has scale 1 and something has none."""
    energy = float((r * r).sum())
    if energy > 0:
        return float((a * r).sum()) / energy
    return None if a.any() else 1.0


def _argmax(a: NDArray[np.float64], r: NDArray[np.float64], tie: float) -> float:
    """Share of positions where what the answer picks is as good as the reference's maximum, up to `tie`."""
    best = r.max(axis=-1)
    picked = np.take_along_axis(r, a.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    return float(np.mean(best - picked <= tie * np.maximum(np.abs(best), 1.0)))


def worst(differences: list[Difference]) -> Difference:
    """The worst of each number; the mean absolute error and the shares are weighted by elements.

    A number that one of them lacks (it was not finite) is lacking.
    """
    if not differences:
        raise ValueError("nothing was compared")
    total = sum(d.elements for d in differences)

    def over(name: str, how: str) -> float | None:
        values = [getattr(d, name) for d in differences]
        if any(value is None for value in values):
            return None
        if how == "mean":
            weights = [d.elements for d in differences] if total else [1] * len(values)
            return float(np.average(values, weights=weights))
        pick = {"max": max(values), "min": min(values), "far": max(values, key=lambda value: abs(value - 1))}
        return float(pick[how])

    rules = {"max_abs": "max", "mean_abs": "mean", "max_rel": "max", "excess": "max", "cosine": "min", "scale": "far"}
    numbers = {name: over(name, how) for name, how in {**rules, "argmax": "mean", "equal": "mean"}.items()}
    return Difference(kind=differences[0].kind, elements=total, **numbers)
