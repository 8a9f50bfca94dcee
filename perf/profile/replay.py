"""What if: a request's tree once more, with some of its time taken away."""

from __future__ import annotations

from collections.abc import Callable

from perf.profile.tree import Node

Saving = Callable[[Node], float]
"""Nanoseconds of a node's own time that are taken away."""


def replayed(node: Node, saving: Saving) -> float:
    """How long a node would take, in nanoseconds.

    A child begins when everything that had ended before it has ended, and as much of its parent's own time later as it
    did; what ran beside each other does so still. A parent ends when all of its children have, and as much later.
    """
    own = node.own
    left = 1.0 - min(1.0, max(0.0, saving(node) / own)) if own else 1.0
    began: list[tuple[int, float]] = [(node.start, 0.0)]
    ended: list[tuple[int, float]] = []
    for child in node.children:
        before = [*began, *(one for one in ended if one[0] <= child.start)]
        start = _later(before, child.start, left)
        began.append((child.start, start))
        ended.append((child.end, start + replayed(child, saving)))
    return _later([*began, *ended], node.end, left)


def _later(before: list[tuple[int, float]], moment: int, left: float) -> float:
    """When `moment` comes, as the last of what was before it did, with `left` of the time between."""
    return max(new for _, new in before) + (moment - max(old for old, _ in before)) * left
