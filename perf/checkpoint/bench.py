"""The parts of `pixelis bench checkpoint`, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from perf.checkpoint.build import build
from perf.checkpoint.equality import equality
from perf.checkpoint.part import Asked, Part
from perf.checkpoint.serve import serve
from perf.checkpoint.swap import swap
from perf.machine import machine, versions
from pixelis.schema import Measurement

PARTS: dict[str, Part] = {"build": build, "equality": equality, "serve": serve, "swap": swap}
TITLES = {
    "build": "Built in fp32: the gate's figures, and what the build took",
    "equality": "Greedy tokens of the served artifacts beside transformers.generate (fp32)",
    "serve start": "The pipeline on a real Triton",
    "serve": "Tokens that the served policy wrote greedily, those that transformers finds likeliest (fp32)",
    "serve question": "Questions to the pipeline",
    "swap": "Two checkpoints in turn where memory holds one: seconds of an answer, cold and warm",
    "memory": "Memory of the checkpoints' processes, sampled",
}
"""Of the rows of each part."""


def measure(parts: Sequence[str], asked: Asked, command: str) -> Measurement:
    """Run `parts`.

    Raises:
        PixelisError: one of them cannot run here, and why.
    """
    found = [PARTS[part](asked) for part in parts]
    return Measurement(
        name="checkpoint",
        command=command,
        machine=machine(),
        versions=versions(),
        rows=[row for one in found for row in one.rows],
        claims=[claim for one in found for claim in one.claims],
    )
