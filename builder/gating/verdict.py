"""What the gate says of an artifact: pass, warn or fail, why, and everything that was measured."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from builder.gating.compare import Difference
from builder.tolerance import Tolerance
from pixelis.errors import GateFailed

Word = Literal["pass", "warn", "fail"]


class OutputReport(BaseModel):
    """One output: how far from the source, how far from itself when a request is alone, and what is allowed."""

    model_config = ConfigDict(extra="forbid")

    against_source: Difference
    alone: Difference | None = None
    allowed: Tolerance


class TaskReport(BaseModel):
    """One task: the artifact's score beside the fp32 reference's on the same cases.

    Attributes:
        metric: what one case's score means.
        reference, artifact: mean scores, 0 to 1.
        difference: artifact less reference; negative = a drop.
        low, high: 95 % confidence interval of the difference over cases like these.
        interval: the formula of the interval, and where it is from.
        allowed_drop: how far the mean may fall.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str
    metric: str
    cases: int
    reference: float
    artifact: float
    difference: float
    low: float
    high: float
    interval: str
    allowed_drop: float

    @property
    def fault(self) -> str | None:
        """Why it is refused: the measured drop is larger than what is allowed."""
        return self._drop("more than") if -self.difference > self.allowed_drop + 1e-9 else None

    @property
    def doubt(self) -> str | None:
        """Why one should look at it: with so many cases, a drop of more than is allowed cannot be ruled out."""
        if self.fault is None and self.low < -self.allowed_drop - 1e-9:
            return self._drop("the interval does not rule out more than")
        return None

    def _drop(self, how: str) -> str:
        return (
            f"{self.name}: {self.reference:.4f} -> {self.artifact:.4f} over {self.cases} cases, "
            f"difference {self.difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}], "
            f"{how} the allowed drop of {self.allowed_drop:g}"
        )


class WrongLayer(BaseModel):
    """Where a wrong artifact goes wrong: the first node whose error is more than its inputs explain.

    Attributes:
        node: its name in the artifact; empty where it was not found.
        operator: its type.
        before, after: relative error of what goes in and of what comes out (largest over its tensors).
        note: what was compared; or why nothing was.
    """

    model_config = ConfigDict(extra="forbid")

    node: str = ""
    operator: str = ""
    before: float | None = None
    after: float | None = None
    note: str

    def __str__(self) -> str:
        if not self.node:
            return f"not bisected: {self.note}"
        return f"first wrong layer: {self.operator} {self.node} (relative error {self.before:.2g} -> {self.after:.2g})"


class Verdict(BaseModel):
    """What the gate measured, and why it says no (if it does).

    Attributes:
        passed: whether it may be published: `pass` and `warn` may.
        verdict: `warn` where a number is within a fifth of its limit, where a task's interval does not rule out a drop
            that is not allowed, or where the artifact could not be run here.
        reasons: why it fails.
        warnings: what to look at though it passes.
        samples: how many samples were compared.
        seen: what the samples are.
        tasks: accuracy at what the model is for.
        weights: quantised constants that were held against the source's weights, number by number.
        first_wrong: for a numeric failure, where it begins.
        not_executed: why the artifact cannot run on this machine; then its structure alone was looked at.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    passed: bool
    verdict: Word = "fail"
    reasons: list[str]
    warnings: list[str] = Field(default_factory=list)
    samples: int
    batch_sizes: list[int]
    shapes: list[str]
    outputs: dict[str, OutputReport]
    tasks: list[TaskReport] = Field(default_factory=list)
    weights: int = Field(0, description="constants of integers that were held against the source's, one by one")
    first_wrong: WrongLayer | None = None
    not_executed: str = ""
    elapsed_s: float

    @model_validator(mode="before")
    @classmethod
    def _older(cls, data: object) -> object:
        """Manifests that were written before there was a `verdict` have `passed` alone."""
        if isinstance(data, dict) and "verdict" not in data and "passed" in data:
            return {**data, "verdict": "pass" if data["passed"] else "fail"}
        return data

    @property
    def shown(self) -> str:
        """For people: `passed`, `warned` (it may be published, and there is something to look at), `failed`,
        or `not executed`."""
        if self.passed and self.not_executed:
            return "not executed"
        return {"pass": "passed", "warn": "warned", "fail": "failed"}[self.verdict if self.passed else "fail"]

    @property
    def why(self) -> str:
        """Its reasons or, where there are none, its warnings, and the first layer that is wrong; may be empty."""
        told = [*(self.reasons or self.warnings), *([str(self.first_wrong)] if self.first_wrong else [])]
        return "; ".join(told)

    def demand(self, model: str) -> None:
        """Raise what it found.

        Raises:
            GateFailed: with every reason, and the first layer that is wrong.
        """
        if not self.passed:
            place = f" {self.first_wrong}." if self.first_wrong else ""
            raise GateFailed(
                f"{model} does not answer as its source does: {'; '.join(self.reasons)}.{place}",
                mend="Nothing was published. Mend the export, or state the tolerance in builder/spec.py and say why.",
            )


def word_of(reasons: list[str], warnings: list[str]) -> Word:
    """The verdict that goes with them."""
    return "fail" if reasons else "warn" if warnings else "pass"
