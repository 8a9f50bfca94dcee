"""What the components of the reward ask of a trajectory."""

from __future__ import annotations

from collections.abc import Sequence

from pixelis.schema import Action


def visual(actions: Sequence[Action]) -> list[Action]:
    """The visual operations, in order."""
    return [action for action in actions if action.type == "VISUAL_OPERATION"]


def equal(a: Action, b: Action) -> bool:
    """Whether two visual operations are the same one with the same arguments."""
    return a.operation == b.operation and a.arguments == b.arguments
