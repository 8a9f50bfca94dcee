"""Whether the steps of a trajectory hang together: the mean of the parts that apply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Action, OperationName
from python_backends.reward.trajectory import repeats, successions, visual

REPETITION = -0.5
SEQUENCES = frozenset(
    {
        (OperationName.SEGMENT_OBJECT_AT, OperationName.GET_PROPERTIES),
        (OperationName.ZOOM_IN, OperationName.READ_TEXT),
    }
)
"""Successions that make sense; each occurrence counts."""


def flow(actions: Sequence[Action]) -> float:
    """Per adjacent pair -0.2 same operation, +0.1 other type, +0.2 visual -> reasoning; summed, / (n - 1)."""
    total = 0.0
    for a, b in pairwise(actions):
        if a.operation is not None and a.operation == b.operation:
            total -= 0.2
        if a.type != b.type:
            total += 0.1
        if (a.type, b.type) == ("VISUAL_OPERATION", "REASONING"):
            total += 0.2
    return total / (len(actions) - 1)


def semantic(states: NDArray[np.float64]) -> float:
    """c = mean cosine of adjacent states `[n, D]`: c < 0.3 -> -0.5; c > 0.9 -> -0.3; else (c - 0.3) / 0.6.

    The cosine with a state of length zero is 0.
    """
    norms = np.linalg.norm(states, axis=1)
    lengths = norms[:-1] * norms[1:]
    products = np.einsum("nd,nd->n", states[:-1], states[1:])
    c = float(np.mean(np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)))
    if c < 0.3:
        return -0.5
    if c > 0.9:
        return -0.3
    return (c - 0.3) / 0.6


def tools(actions: Sequence[Action]) -> float:
    """min(0.1 * distinct, 0.5) - 0.1 per use of one operation over 5, + 0.2 for each sensible succession."""
    uses = Counter(action.operation for action in visual(actions))
    excess = max(max(uses.values()) - 5, 0)
    sensible = sum(pair in SEQUENCES for pair in successions(actions))
    return min(0.1 * len(uses), 0.5) - 0.1 * excess + 0.2 * sensible


def coherence(actions: Sequence[Action], states: NDArray[np.float64]) -> float:
    """Mean of the parts that apply; 0 with fewer than two actions.

    Args:
        actions: the trajectory.
        states: `[n, D]` state keys; with fewer than two, the semantic part is left out.
    """
    if len(actions) < 2:
        return 0.0
    parts = [flow(actions)]
    if repeats(actions):
        parts.append(REPETITION)
    if len(states) >= 2:
        parts.append(semantic(states))
    if visual(actions):
        parts.append(tools(actions))
    return sum(parts) / len(parts)
