"""What the components of the reward ask of a trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pixelis.schema import Action, OperationName

Pair = tuple[OperationName, OperationName]


def visual(actions: Sequence[Action]) -> list[Action]:
    """The visual operations, in order."""
    return [action for action in actions if action.type == "VISUAL_OPERATION"]


def repeats(actions: Sequence[Action]) -> bool:
    """Whether two consecutive visual actions are equal: the same operation with the same arguments."""
    return any(a.operation == b.operation and a.arguments == b.arguments for a, b in pairwise(visual(actions)))


def successions(actions: Sequence[Action]) -> list[Pair]:
    """(operation, next operation) of consecutive visual actions; thoughts in between do not separate them."""
    names = [action.operation for action in visual(actions)]
    return [(a, b) for a, b in pairwise(names) if a is not None and b is not None]
