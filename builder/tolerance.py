"""How far an artifact may be from its source."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["fp32", "fp16", "bf16", "int8", "int4", "none"]
"""Element type of the weights; `none` where an artifact has no weights."""


class Tolerance(BaseModel):
    """Thresholds of the gate for one output.

    A floating-point output passes where every element has `|answer - reference| <= max_abs + max_rel * |reference|`,
    the mean absolute error is at most `mean_abs`, every batch item's cosine is at least `cosine`, the least-squares
    slope of answer against reference is within `scale` of 1, and the arg-max over the last axis agrees for the share
    `argmax` of positions. An integer, boolean or text output passes where the share `integer` of its elements is equal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_abs: float = Field(default=1e-3, ge=0)
    max_rel: float = Field(default=1e-3, ge=0)
    mean_abs: float = Field(default=1e-4, ge=0)
    cosine: float = Field(default=0.999999, ge=-1, le=1)
    scale: float = Field(default=1e-4, ge=0, description="a scaled output turns no vector: no cosine sees it")
    argmax: float = Field(default=1.0, ge=0, le=1, description="share of positions")
    tie: float = Field(
        default=1e-5,
        ge=0,
        description="two candidates closer than this in the reference, relative to the larger of 1 and the maximum, "
        "are one: which of them wins says nothing about the artifact",
    )
    integer: float = Field(default=0.999, ge=0, le=1, description="share of equal elements")


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(),
    "fp16": Tolerance(
        max_abs=2e-2, max_rel=1e-2, mean_abs=2e-3, cosine=0.9998, scale=1e-3, argmax=0.99, tie=1e-3, integer=0.99
    ),
    "bf16": Tolerance(
        max_abs=0.1, max_rel=5e-2, mean_abs=1e-2, cosine=0.999, scale=5e-3, argmax=0.98, tie=5e-3, integer=0.98
    ),
    "int8": Tolerance(
        max_abs=0.5, max_rel=0.1, mean_abs=5e-2, cosine=0.998, scale=7.5e-3, argmax=0.97, tie=1e-2, integer=0.97
    ),
    "int4": Tolerance(
        max_abs=1.0, max_rel=0.2, mean_abs=0.1, cosine=0.98, scale=2e-2, argmax=0.95, tie=1e-2, integer=0.95
    ),
    "none": Tolerance(max_abs=0, max_rel=0, mean_abs=0, cosine=1, scale=0, argmax=1, tie=0, integer=1),
}
"""What a precision is held to, unless a model states its own.

Cosine and scale stand a few times further off than the healthiest and the least healthy artifact of that precision that
passes its tasks (fp32: cosine 1 - 1e-10, scale 3e-6; int8: 0.9985 and 0.4 %), so that a wrong weight, an output that is
scaled by 1 % and a table that is read one row too far are outside.
"""
