"""Numbers that say how far one array is from another."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from builder.tolerance import Tolerance

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
        argmax: share of positions whose arg-max over the last axis agrees, ties aside.
        equal: share of equal elements.
        elements: how many elements were compared.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["float", "exact"]
    max_abs: float | None = None
    mean_abs: float | None = None
    max_rel: float | None = None
    excess: float | None = None
    cosine: float | None = None
    argmax: float | None = None
    equal: float | None = None
    elements: int

    def faults(self, allowed: Tolerance) -> list[str]:
        """In what it is outside `allowed`; a number that is not one is outside."""
        if self.kind == "exact":
            return _below("share of equal elements", self.equal, allowed.integer)
        found = _above(f"error beyond {allowed.max_rel:g} relative", self.excess, allowed.max_abs)
        found += _above("mean absolute error", self.mean_abs, allowed.mean_abs)
        found += _below("cosine", self.cosine, allowed.cosine)
        return found + _below("arg-max agreement", self.argmax, allowed.argmax)


def _above(what: str, value: float | None, limit: float) -> list[str]:
    inside = value is not None and value <= limit  # NaN is never inside
    return [] if inside else [f"{what} {_text(value)} > {limit:g}"]


def _below(what: str, value: float | None, limit: float) -> list[str]:
    inside = value is not None and value >= limit
    return [] if inside else [f"{what} {_text(value)} < {limit:g}"]


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
        return Difference(kind="float", max_abs=0, mean_abs=0, max_rel=0, excess=0, cosine=1, argmax=1, elements=0)
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
        return float(max(values) if how == "max" else min(values))

    rules = {"max_abs": "max", "mean_abs": "mean", "max_rel": "max", "excess": "max", "cosine": "min"}
    numbers = {name: over(name, how) for name, how in {**rules, "argmax": "mean", "equal": "mean"}.items()}
    return Difference(kind=differences[0].kind, elements=total, **numbers)
