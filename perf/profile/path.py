"""The critical path: what, had it been shorter, would have made the request shorter."""

from __future__ import annotations

from dataclasses import dataclass

from perf.profile.tree import Node


@dataclass(frozen=True)
class Stretch:
    """A part of the critical path.

    Attributes:
        node: whose own time it is.
        start: nanoseconds.
        end: the same.
    """

    node: Node
    start: int
    end: int


def critical_path(root: Node) -> list[Stretch]:
    """From the request's end backwards: of what was at work, whatever ended last (Yang & Miller, ICDCS 1988)."""
    found: list[Stretch] = []
    _back(root, root.end, found)
    return found[::-1]


def _back(node: Node, until: int, found: list[Stretch]) -> None:
    moment = until
    for child in sorted(node.children, key=lambda one: one.end, reverse=True):
        if child.start >= moment:
            continue
        end = min(child.end, moment)
        if end < moment:
            found.append(Stretch(node, end, moment))
        _back(child, end, found)
        moment = child.start
        if moment <= node.start:
            return
    if moment > node.start:
        found.append(Stretch(node, node.start, moment))
