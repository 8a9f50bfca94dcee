"""`--device auto|cpu|cuda`: the forms that are worth building for a device, and why the others are skipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from builder.building.machine import Choice, Device, narrow
from builder.candidate import Candidate
from pixelis.errors import BuildError
from pixelis.machine import Machine, this_machine

ON_GPU = ("tensorrt",)
"""Formats whose artifacts run on a GPU."""


def for_device(device: Device, candidates: Iterable[Candidate], machine: Machine | None = None) -> list[Choice]:
    """Every candidate with a word on why it is kept or skipped, in the same order.

    Args:
        device: `auto` is whatever there is, `cpu` leaves a GPU aside, `cuda` builds for a GPU alone.
        candidates: forms of one model.
        machine: default: this one.

    Raises:
        BuildError: `cuda` where there is no NVIDIA GPU.
    """
    found = machine or this_machine()
    if device == "cuda":
        if not found.gpus:
            raise BuildError("There is no NVIDIA GPU here to build for.", mend=f"What there is: {found}.")
        there = narrow(found, candidates)
        return [one if one.candidate.format in ON_GPU else _aside(one.candidate) for one in there]
    return narrow(replace(found, gpus=()) if device == "cpu" else found, candidates)


def _aside(candidate: Candidate) -> Choice:
    return Choice(candidate, False, "its artifacts run on the CPU")
