"""Spans of all processes as one tree a request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from perf.profile.spans import Span

OUTSIDE = "outside"
"""What the client waited and no span knows of: its own work, Triton's front and the ensemble."""


@dataclass
class Node:
    """A span in the tree of one request.

    Attributes:
        component: whose time its own is: a model, `model: part`, or `→ model` for the way there and back.
        kind: see `Span`.
        start: nanoseconds.
        end: the same.
        cpu: see `Span`; none where it is not known, and time that is no processor's says nothing.
        queued: see `Span`.
        thread: that it ran in.
        notes: more about it.
        children: within it, by their start.
    """

    component: str
    kind: str
    start: int
    end: int
    cpu: int | None = None
    queued: int = 0
    thread: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    @property
    def own(self) -> int:
        """Nanoseconds in which none of its children was at work."""
        covered, until = 0, self.start
        for child in self.children:
            covered += max(0, child.end - max(child.start, until))
            until = max(until, child.end)
        return self.end - self.start - covered

    @property
    def own_cpu(self) -> int | None:
        """Nanoseconds of a processor that its thread had outside of its children."""
        if self.cpu is None:
            return None
        return max(0, self.cpu - sum(child.cpu or 0 for child in self.children if child.thread == self.thread))

    @property
    def own_queued(self) -> int:
        """Nanoseconds that its thread waited for a processor outside of its children."""
        return max(0, self.queued - sum(child.queued for child in self.children if child.thread == self.thread))

    @property
    def stalled(self) -> int:
        """Nanoseconds in which its thread neither had a processor nor wanted one: it slept, or waited for a lock."""
        if self.own_cpu is None or self.kind == "call":  # a call waits because another process works
            return 0
        return max(0, self.own - self.own_cpu - self.own_queued)

    def walk(self) -> Iterable[Node]:
        """It and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


class Forest:
    """Makes trees of spans.

    Args:
        spans: of all processes.
    """

    def __init__(self, spans: Sequence[Span]) -> None:
        self._below: defaultdict[str, list[Span]] = defaultdict(list)
        self._above: defaultdict[str, list[Span]] = defaultdict(list)
        self._steps: defaultdict[str, list[Span]] = defaultdict(list)
        for span in spans:
            if span.kind == "step":
                for turn in span.notes.get("turns", ()):
                    self._steps[turn].append(span)
                continue
            for sender, request in dict.fromkeys(span.senders):
                (self._below[sender] if sender else self._above[request]).append(span)

    def tree(self, request_id: str, start: int, end: int) -> Node:
        """The tree of one request, from its sending to its answer at the client; both in nanoseconds."""
        root = Node(OUTSIDE, "request", start, end)
        self._grow(root, self._above[request_id])
        return root

    def _grow(self, node: Node, spans: Iterable[Span]) -> None:
        for span in sorted(spans, key=lambda one: one.start):
            start, end = max(span.start, node.start), min(span.end, node.end)
            if start >= end:
                continue
            child = Node(_component(span), span.kind, start, end, span.cpu, span.queued, span.thread, span.notes)
            node.children.append(child)
            below = self._below[span.identity]
            turn = span.notes.get("turn")
            self._grow(child, below if turn is None else [*below, *self._of(turn, span.model)])

    def _of(self, turn: str, model: str) -> list[Span]:
        return [step for step in self._steps[turn] if step.model == model]


def _component(span: Span) -> str:
    if span.kind == "call":
        return f"→ {span.name}"
    return span.model if span.kind in ("execute", "row", "turn") else f"{span.model}: {span.name}"
