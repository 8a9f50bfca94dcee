"""Who waits for a row: two classes, each first come, first served, neither starved."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from itertools import chain

from python_backends.policy.request import Sequence

PATIENCE = 8
"""Urgent requests that may go before an ordinary one that waits."""


class Waiting:
    """The queue of the decoding thread."""

    def __init__(self) -> None:
        self._urgent: deque[Sequence] = deque()
        self._ordinary: deque[Sequence] = deque()
        self._passed = 0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._ordinary)

    def __iter__(self) -> Iterator[Sequence]:
        return chain(self._urgent, self._ordinary)

    @property
    def urgent(self) -> int:
        """Urgent requests that wait."""
        return len(self._urgent)

    def put(self, sequence: Sequence) -> None:
        """A new request, at the end of its class."""
        self._of(sequence).append(sequence)

    def put_back(self, sequence: Sequence) -> None:
        """A request that lost its row, at the head of its class."""
        self._of(sequence).appendleft(sequence)

    def peek(self) -> Sequence | None:
        """Who comes next."""
        if self._urgent and not (self._ordinary and self._passed >= PATIENCE):
            return self._urgent[0]
        return self._ordinary[0] if self._ordinary else None

    def take(self) -> Sequence | None:
        """Who comes next, out of the queue."""
        first = self.peek()
        if first is not None:
            self._of(first).popleft()
            self._passed = self._passed + 1 if first.urgent and self._ordinary else 0
        return first

    def remove(self, sequence: Sequence) -> None:
        """Take one out, who is read together with another."""
        self._of(sequence).remove(sequence)

    def drop(self, gone: Container[int]) -> None:
        """Take out the requests with these `id`s."""
        self._urgent = deque(s for s in self._urgent if id(s) not in gone)
        self._ordinary = deque(s for s in self._ordinary if id(s) not in gone)

    def _of(self, sequence: Sequence) -> deque[Sequence]:
        return self._urgent if sequence.urgent else self._ordinary
