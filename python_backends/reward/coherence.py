"""Whether the steps of a trajectory hang together: the parts of which the mean is taken.

Flow: -0.2 same operation, +0.1 other type, +0.2 visual -> reasoning, per adjacent pair; summed, / (n - 1).
Repetition (two equal consecutive visual operations): -0.5. Semantic and tools as below. A part that did not occur is
left out, not 0; fewer than two actions: 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Action, OperationName

REPETITION = -0.5
SEQUENCES = frozenset(
    {
        (OperationName.SEGMENT_OBJECT_AT, OperationName.GET_PROPERTIES),
        (OperationName.ZOOM_IN, OperationName.READ_TEXT),
    }
)
"""Successions that make sense; each occurrence counts."""


def flow_between(a: Action, b: Action) -> float:
    """-0.2 same operation, +0.1 other type, +0.2 visual -> reasoning."""
    total = 0.0
    if a.operation is not None and a.operation == b.operation:
        total -= 0.2
    if a.type != b.type:
        total += 0.1
    if (a.type, b.type) == ("VISUAL_OPERATION", "REASONING"):
        total += 0.2
    return total


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Of two states `[D]`; 0 where one has length zero."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    lengths = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / lengths if lengths > 0 else 0.0


def semantic_of(c: float) -> float:
    """c = mean cosine of adjacent states: c < 0.3 -> -0.5; c > 0.9 -> -0.3; else (c - 0.3) / 0.6."""
    if c < 0.3:
        return -0.5
    if c > 0.9:
        return -0.3
    return (c - 0.3) / 0.6


def tools_of(uses: Mapping[OperationName | None, int], sensible: int) -> float:
    """min(0.1 * distinct, 0.5) - 0.1 per use of one operation over 5, + 0.2 for each sensible succession."""
    excess = max(max(uses.values()) - 5, 0)
    return min(0.1 * len(uses), 0.5) - 0.1 * excess + 0.2 * sensible
