"""`--device auto|cpu|cuda`: the forms that are worth building for a device, and why the others are skipped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from builder.building.machine import NO_GPU, Choice, Device, narrow
from builder.candidate import Candidate
from builder.model_spec import Kind
from pixelis.errors import BuildError
from pixelis.machine import Machine, this_machine


def on_gpu(candidate: Candidate, kind: Kind) -> bool:
    """Whether it runs on a GPU where there is one; the decoder's script is one artifact for both."""
    both = (kind, candidate.format) == ("policy", "torchscript")
    return both or candidate.format == "tensorrt" or candidate.optimization.device == "cuda"


def anywhere(candidates: Sequence[Candidate], machine: Machine | None = None) -> list[Choice]:
    """Every candidate, whether it is worth it or not, but for those that only a GPU that is not there can build."""
    without = [] if (machine or this_machine()).gpus else [c for c in candidates if c.optimization.device == "cuda"]
    return [Choice(c, c not in without, NO_GPU if c in without else "") for c in candidates]


def for_device(
    device: Device, candidates: Iterable[Candidate], kind: Kind = "engine", machine: Machine | None = None
) -> list[Choice]:
    """Every candidate with a word on why it is kept or skipped, in the same order.

    Args:
        device: `auto` is whatever there is, `cpu` leaves a GPU aside, `cuda` builds for a GPU alone.
        candidates: forms of one model.
        kind: the model's.
        machine: default: this one.

    Raises:
        BuildError: `cuda` where there is no NVIDIA GPU.
    """
    found = machine or this_machine()
    if device == "cuda":
        if not found.gpus:
            raise BuildError("There is no NVIDIA GPU here to build for.", mend=f"What there is: {found}.")
        there = narrow(found, candidates)
        return [one if on_gpu(one.candidate, kind) else _aside(one.candidate) for one in there]
    return narrow(replace(found, gpus=()) if device == "cpu" else found, candidates)


def _aside(candidate: Candidate) -> Choice:
    return Choice(candidate, False, "its artifacts run on the CPU")
