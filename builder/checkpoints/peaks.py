"""What building takes besides disk: memory and time, as measured on checkpoints of full width.

A model is made in a process of its own, and the largest of them is what must fit. In such a process two stages are
large: writing the artifact, and judging it beside the model that it was made of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from builder.candidate import Candidate
from builder.checkpoints.architecture import Architecture
from builder.checkpoints.expected import expected
from builder.checkpoints.mapped import LARGE
from builder.checkpoints.sizes import decoder_bytes, parameters, table_bytes
from builder.checkpoints.trim import LIMIT
from builder.formats.onnx_large import MAPPED, OUTSIDE
from builder.gating.constants import NUMBERS
from builder.sources.emission.matrices import PORTION

LIBRARIES = 0.75 * 2**30
"""Resident bytes of Python with torch, transformers and ONNX Runtime."""
WORKING = 0.45 * 2**30
"""Slices of matrices, activations and logits while an artifact is written and judged."""
LOADED = 1.5
"""What a session takes while it copies its weights into another order, as a share of their bytes."""
TOWER_EXPORT = 4.0
"""Copies of a small vision tower in fp32 while it is exported: the module, the traced program, the graph, its bytes.
The weights of a large one go to their files one by one."""
COMPARED = 8.0
"""Copies in fp32 of a part of a quantised matrix while the gate compares it with its source."""
_LET_GO = LIMIT + PORTION / 2
"""Bytes of mapped weights that are resident, at the most: portions come faster than they are let go of."""
WRITTEN = 60e6
"""Bytes of fp32 weights that are converted and written in a second."""
ARITHMETIC = 25e9
"""Products of numbers in a second and thread, by PyTorch and ONNX Runtime in fp32."""
JUDGED = 12 * 300 * 2
"""Tokens that the gate has the decoder and the reference read, twice."""
START = 25.0
"""Seconds of a process until it begins, and of what does not grow with the checkpoint."""


@dataclass(frozen=True)
class Effort:
    """Of building one model in one form.

    Attributes:
        memory: resident bytes, at their highest.
        seconds: on one thread.
    """

    memory: int
    seconds: float


def effort(architecture: Architecture, model: str, candidate: Candidate, loaded_whole: bool) -> Effort:
    """What it takes to build `model` (`policy` or `vision_encoder`).

    Args:
        architecture: of the checkpoint.
        model: which.
        candidate: its form.
        loaded_whole: the checkpoint is small, and is loaded as a whole to compare with.
    """
    text, tower = parameters(architecture)
    reference = 4.0 * (text + tower if loaded_whole else tower)
    if model == "vision_encoder":
        size = 4.0 * tower
        writing = TOWER_EXPORT * size if size <= OUTSIDE else reference
        judging = reference + (_LET_GO if size > MAPPED else LOADED * size)
        numbers, tokens = tower, 20 * 256
    else:
        writing = 2.0 * _largest(architecture)  # mapped, one at a time
        judging = reference + _session(architecture, candidate)
        if candidate.quantization == "weights":
            judging = max(judging, reference + COMPARED * 4.0 * NUMBERS)
        numbers, tokens = text, JUDGED
    seconds = START + 4.0 * numbers / WRITTEN + tokens * numbers / ARITHMETIC
    return Effort(round(LIBRARIES + WORKING + max(writing, judging)), seconds)


def _largest(architecture: Architecture) -> int:
    """Numbers of the largest tensor."""
    return max(math.prod(shape) for shape in expected(architecture).values())


def _session(architecture: Architecture, candidate: Candidate) -> float:
    """Resident bytes of the decoder and its embedding table once they have answered."""
    weights, table = decoder_bytes(architecture, candidate), table_bytes(architecture, candidate)
    if candidate.format == "onnx" and candidate.precision == "fp32" and weights >= LARGE:
        return min(weights + table, _LET_GO)
    return LOADED * weights + min(table, LIMIT)
