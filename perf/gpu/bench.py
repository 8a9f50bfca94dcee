"""Runs the parts of `pixelis bench gpu`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from perf.gpu.decoders import decoders
from perf.gpu.device import Ceilings, measure_ceilings
from perf.gpu.part import Asked, Row
from perf.gpu.towers import towers
from perf.machine import machine, versions
from pixelis.machine import this_machine
from pixelis.schema import Measurement

PARTS: dict[str, Callable[[Asked, Ceilings], Iterator[Row]]] = {"towers": towers, "decoders": decoders}
TITLES = {
    "ceilings": "What the device does at most",
    "attention": "Kernels of attention of one picture, bf16",
    "tower": "Pictures to visual tokens",
    "first token": "A prompt to its first token",
    "step": "One more token behind 512",
}


def measure(parts: Sequence[str], asked: Asked, command: str) -> Measurement:
    """The measurement."""
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    asked.watch("gpu", "what the device does at most")
    ceilings = measure_ceilings(asked.device)
    rows: list[Row] = [
        {
            "row": "ceilings",
            "tflops": round(ceilings.flops / 1e12, 1),
            "gb_per_s": round(ceilings.bandwidth / 1e9, 1),
        }
    ]
    for part in parts:
        rows += PARTS[part](asked, ceilings)
    facts = {**machine(), "device": asked.device, "gpus": [str(gpu) for gpu in this_machine().gpus]}
    facts |= {"threads": 1, "rounds": asked.turns.rounds}
    return Measurement(name="bench gpu", command=command, machine=facts, versions=versions(), rows=rows)
