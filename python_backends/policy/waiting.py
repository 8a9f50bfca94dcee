"""Who waits for a row: two classes, each first come, first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from itertools import chain

from python_backends.policy.request import Sequence


class Waiting:
    """The queue of the decoding thread.

    Attributes:
        urgent: urgent requests, oldest first.
        ordinary: the others.
    """

    def __init__(self) -> None:
        self.urgent: deque[Sequence] = deque()
        self.ordinary: deque[Sequence] = deque()

    def __len__(self) -> int:
        return len(self.urgent) + len(self.ordinary)

    def __iter__(self) -> Iterator[Sequence]:
        return chain(self.urgent, self.ordinary)

    def put(self, sequence: Sequence) -> None:
        """A new request, at the end of its class."""
        self._of(sequence).append(sequence)

    def put_back(self, sequence: Sequence) -> None:
        """A request that lost its row, at the head of its class."""
        self._of(sequence).appendleft(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Take one out: it gets a row."""
        self._of(sequence).remove(sequence)

    def drop(self, gone: Container[int]) -> None:
        """Take out the requests with these `id`s."""
        self.urgent = deque(s for s in self.urgent if id(s) not in gone)
        self.ordinary = deque(s for s in self.ordinary if id(s) not in gone)

    def _of(self, sequence: Sequence) -> deque[Sequence]:
        return self.urgent if sequence.urgent else self.ordinary
