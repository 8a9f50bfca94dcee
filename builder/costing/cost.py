"""What a candidate costs on one machine, as data; and where that is kept."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from builder.costing.timing import Timing
from pixelis.draft import replace_text

COSTS = "costs"


class CaseCost(BaseModel):
    """One shape of request, timed in turns with the reference.

    Attributes:
        case: for instance `batch 4`, `prefill 256`, `decode batch 8`.
        batch: items of one call.
        shape: of the inputs, for a reader.
        speedup: median over rounds of reference time ÷ candidate time.
        speedup_low, speedup_high: the lowest and highest round.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    case: str
    batch: int
    shape: str
    timing: Timing
    reference: Timing
    speedup: float
    speedup_low: float
    speedup_high: float


class Memory(BaseModel):
    """Of a fresh process that holds one model and nothing else, in bytes.

    Attributes:
        imported: resident after the executor's packages were imported, before there was a model.
        loaded: resident after the model was loaded.
        ran: resident after it ran.
        pss_imported, pss_ran: the same as proportional set size (pages shared with other processes count in part).
        peak: the most that was ever resident.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    imported: int
    loaded: int
    ran: int
    pss_imported: int
    pss_ran: int
    peak: int

    @property
    def model(self) -> int:
        """What the model itself added: weights, buffers, compiled code."""
        return max(self.ran - self.imported, 0)


class Step(BaseModel):
    """One batch size of a search; `gain` is of throughput over the size before, a share."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    batch: int
    p50_ms: float
    throughput_per_s: float
    gain: float | None = None


class BackOff(BaseModel):
    """How large a batch is worth while (`builder.costing.back_off`).

    Attributes:
        recommended: the largest batch that still gained.
        ceiling: the spec's, which stays in force.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    steps: list[Step]
    recommended: int
    ceiling: int
    why: str

    def __str__(self) -> str:
        return f"{self.recommended} of at most {self.ceiling}: {self.why}"


class Cost(BaseModel):
    """Everything measured of one candidate.

    Attributes:
        key: of the build.
        reference: what stood beside it, in words.
        memory, reference_memory: none where it could not be measured; `notes` says why.
        weight_bytes, reference_weight_bytes: of the weights as they are stored; 0 = not told.
        size_bytes: of the whole artifact.
        build_s: how long exporting, optimising and judging took.
        batching: how large a batch is worth while; searched for forms that are chosen.
        machine: what it was measured on; `machine_digest` is of those facts that a figure depends on.
        measured_at: seconds since the epoch.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str
    candidate: str
    key: str
    reference: str
    cases: list[CaseCost]
    memory: Memory | None = None
    reference_memory: Memory | None = None
    size_bytes: int
    weight_bytes: int = 0
    reference_weight_bytes: int = 0
    build_s: float = 0.0
    batching: BackOff | None = None
    threads: int = 1
    rounds: int = 0
    machine: dict[str, str] = Field(default_factory=dict)
    machine_digest: str = ""
    measured_at: float = 0.0
    notes: list[str] = Field(default_factory=list)

    @property
    def memory_saved(self) -> float | None:
        """Share of the reference's model memory that is saved; negative = more is needed."""
        if self.memory is None or self.reference_memory is None or not self.reference_memory.model:
            return None
        return 1 - self.memory.model / self.reference_memory.model

    @property
    def process_memory_saved(self) -> float | None:
        """The same for the whole process, its libraries included."""
        if self.memory is None or self.reference_memory is None:
            return None
        return 1 - self.memory.ran / self.reference_memory.ran

    @property
    def weights_saved(self) -> float | None:
        """Share of the reference's weight bytes that is saved."""
        if not self.weight_bytes or not self.reference_weight_bytes:
            return None
        return 1 - self.weight_bytes / self.reference_weight_bytes


class Costs:
    """`state/costs/<key>-<machine>.json`: beside the build cache, whose entries never change.

    Args:
        state: the state directory.
    """

    def __init__(self, state: Path) -> None:
        self._directory = state / COSTS

    def find(self, key: str) -> Cost | None:
        """What was measured of the artifact `key` on this machine; a damaged record is none."""
        try:
            return Cost.model_validate_json(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # pydantic's error, and that of bytes that are no text
            return None

    def keep(self, cost: Cost) -> None:
        """Instead of what was there."""
        replace_text(self._path(cost.key), cost.model_dump_json(indent=2) + "\n")

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}-{machine_digest()}.json"


def machine_facts() -> dict[str, str]:
    """What a figure depends on: processor, usable cores, system."""
    return {
        "cpu": _cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def machine_digest() -> str:
    """A short name of this machine, for file names."""
    return hashlib.sha256(json.dumps(machine_facts(), sort_keys=True).encode()).hexdigest()[:12]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
