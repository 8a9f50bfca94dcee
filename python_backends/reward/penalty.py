"""What needless operations cost."""

from __future__ import annotations

from collections.abc import Sequence

from pixelis.schema import Action, OperationName
from python_backends.reward.trajectory import repeats, successions, visual

FREE_OPERATIONS = 10


def penalty(actions: Sequence[Action]) -> float:
    """-0.2 per operation over 10; -0.1 if repeated; -0.05 per ZOOM_IN -> ZOOM_IN. Never above 0."""
    excess = max(len(visual(actions)) - FREE_OPERATIONS, 0)
    zooms = successions(actions).count((OperationName.ZOOM_IN, OperationName.ZOOM_IN))
    return 0.0 - 0.2 * excess - (0.1 if repeats(actions) else 0.0) - 0.05 * zooms
