"""The device: what it can do at most, and how calls on it are timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from builder.costing.timing import Timed, Turns, take_turns

SIDE = 8192
"""Of the square matrices whose product is the ceiling of arithmetic."""
BYTES = 2**32
"""That are copied on the device for the ceiling of memory."""


@dataclass(frozen=True)
class Ceilings:
    """Measured on the device, where it is a GPU; on a CPU nothing is compared with them.

    Attributes:
        flops: floating-point operations a second of a product of matrices in half precision.
        bandwidth: bytes a second that a copy reads and writes.
    """

    flops: float
    bandwidth: float


def measure_ceilings(device: str) -> Ceilings:
    """A product of two matrices, and a copy; each the median of ten."""
    side, size = (SIDE, BYTES) if device == "cuda" else (512, 2**24)
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    one, other = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Ceilings(
        flops=2 * side**3 / median_seconds(lambda: one @ other),
        bandwidth=2 * size / median_seconds(lambda: target.copy_(source)),
    )


def median_seconds(call: Callable[[], object], runs: int = 10) -> float:
    """Of one call, waited for, after three that are not measured."""
    taken = []
    for number in range(runs + 3):
        wait()
        started = time.perf_counter()
        call()
        wait()
        if number >= 3:
            taken.append(time.perf_counter() - started)
    return median(taken)


def wait() -> None:
    """Until the GPU has done what it was told, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def in_turns(calls: dict[str, Callable[[], Any]], turns: Turns) -> dict[str, dict[str, float]]:
    """p50, p90 and p99 in milliseconds of callables that take turns; each waits for its answer itself."""
    rounds = take_turns({name: Timed(call) for name, call in calls.items()}, turns)
    found = {}
    for name, made in rounds.items():
        timing = made.timing(1)
        found[name] = {"p50_ms": timing.p50_ms, "p90_ms": timing.p90_ms, "p99_ms": timing.p99_ms}
    return found
