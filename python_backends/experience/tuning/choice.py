"""Which of the settings that were tried is taken, and why none, if none is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict, Field

from pixelis.errors import GateFailed
from python_backends.experience.tuning.trial import Trial

MIB = 2**20


class Limits(BaseModel):
    """What a setting has to keep to."""

    model_config = ConfigDict(extra="forbid")

    recall: float = Field(0.95, gt=0, le=1, description="least recall, with 95 % certainty")
    latency_ms: float | None = Field(None, gt=0, description="most, median, one query on one thread")
    memory_mib: float | None = Field(None, gt=0, description="most that the index may take")

    def finds(self, trial: Trial) -> bool:
        """Whether it finds enough."""
        return trial.recall_low >= self.recall

    def quick(self, trial: Trial) -> bool:
        """Whether it is quick enough."""
        return self.latency_ms is None or trial.p50_ms <= self.latency_ms

    def small(self, trial: Trial) -> bool:
        """Whether it is small enough."""
        return self.memory_mib is None or trial.size_bytes <= self.memory_mib * MIB

    def __str__(self) -> str:
        said = [f"recall {self.recall:g}"]
        if self.latency_ms is not None:
            said.append(f"{self.latency_ms:g} ms")
        if self.memory_mib is not None:
            said.append(f"{self.memory_mib:g} MiB")
        return " and ".join(said)


def choose(trials: Sequence[Trial], limits: Limits) -> Trial:
    """The fastest that finds enough and keeps to the limits.

    Raises:
        GateFailed: there is none; the message says what there is instead.
    """
    fit = [trial for trial in trials if limits.finds(trial) and limits.quick(trial) and limits.small(trial)]
    if fit:
        return min(fit, key=lambda trial: trial.p50_ms)
    raise GateFailed(f"Nothing that was tried keeps to {limits}.", mend=" ".join(_instead(trials, limits)))


def pareto(trials: Sequence[Trial]) -> list[Trial]:
    """Those that no other is better than in one of recall, time and size and as good in the others; fastest first."""
    front = [one for one in trials if not any(_better(other, one) for other in trials)]
    return sorted(front, key=lambda trial: trial.p50_ms)


def _better(one: Trial, other: Trial) -> bool:
    a = (one.recall, -one.p50_ms, -one.size_bytes)
    b = (other.recall, -other.p50_ms, -other.size_bytes)
    return a != b and all(x >= y for x, y in zip(a, b, strict=True))


def _instead(trials: Sequence[Trial], limits: Limits) -> list[str]:
    """What would do: each limit alone given up."""
    said = []
    within = [trial for trial in trials if limits.quick(trial) and limits.small(trial)]
    if within:
        best = max(within, key=lambda trial: trial.recall_low)
        said.append(f"Within the limits, recall {best.recall_low:.4f} is reached ({best.config.label}).")
    found = [trial for trial in trials if limits.finds(trial)]
    allowed = _least(
        [trial for trial in found if limits.small(trial)],
        lambda trial: trial.p50_ms,
        "Allow {:.3g} ms for the recall ({}).",
        limits.latency_ms is not None,
    )
    allowed += _least(
        [trial for trial in found if limits.quick(trial)],
        lambda trial: trial.size_bytes / MIB,
        "Allow {:.4g} MiB for the recall ({}).",
        limits.memory_mib is not None,
    )
    if found and not allowed:
        one = min(found, key=lambda trial: trial.p50_ms)
        allowed = [f"The recall takes {one.p50_ms:.3g} ms and {one.size_bytes / MIB:.4g} MiB ({one.config.label})."]
    said += allowed
    return said or ["Try other settings: --grid."]


def _least(found: Sequence[Trial], cost: Callable[[Trial], float], said: str, limited: bool) -> list[str]:
    if not found or not limited:
        return []
    one = min(found, key=cost)
    return [said.format(cost(one), one.config.label)]
