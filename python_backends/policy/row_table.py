"""Which sequence holds which row of the cache.

Rows 0 to n-1 decode: the graph's binding is a slice. The rows behind are of prompts that are being read. When a
sequence ends, the last one that decodes moves into its row, and each of the prompts into the row before.
"""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from python_backends.policy.graph import DecoderGraph
from python_backends.policy.request import Sequence


class RowTable:
    """For the decoding thread.

    Args:
        graph: whose rows these are.

    Attributes:
        active: sequences that decode; their index is their row.
        reading: sequences whose prompts are being read, in rows `len(active)` and on: those that the next pass reads to
            their end, and one at most that it does not.
        tokens: newest token of each row, not in the cache yet `[slots]`.
        positions: its position `[slots]`.
        lengths: tokens that the row's cache holds `[slots]`.
    """

    def __init__(self, graph: DecoderGraph) -> None:
        self._graph = graph
        self.active: list[Sequence] = []
        self.reading: list[Sequence] = []
        self.tokens = np.zeros(graph.slots, np.int64)
        self.positions = np.zeros(graph.slots, np.int64)
        self.lengths = np.zeros(graph.slots, np.int64)

    @property
    def free(self) -> int:
        """Rows that nobody holds."""
        return self._graph.slots - len(self.active) - len(self.reading)

    @property
    def urgent(self) -> int:
        """Urgent sequences that decode."""
        return sum(sequence.urgent for sequence in self.active)

    @property
    def pressed(self) -> bool:
        """Whether an urgent sequence holds a row, be it that it decodes or that its prompt is being read."""
        return self.urgent > 0 or any(sequence.urgent for sequence in self.reading)

    def holders(self) -> list[Sequence]:
        """Sequences with a row; their index is their row."""
        return [*self.active, *self.reading]

    def join(self, group: list[Sequence]) -> None:
        """The prompts in rows `len(active)` and on are read: they decode from now on."""
        for row, sequence in enumerate(group, len(self.active)):
            self.lengths[row] = sequence.known
            self.positions[row] = sequence.next_position + len(sequence.tokens) - 1
            if sequence.tokens:  # it was preempted, and its newest token is not read yet
                self.tokens[row] = sequence.tokens[-1]
            sequence.read = 0
        self.reading = [sequence for sequence in self.reading if sequence not in group]
        self.active += group

    def drop(self, gone: Container[int]) -> None:
        """Free the rows of the sequences with these `id`s."""
        for place in range(len(self.reading) - 1, -1, -1):
            if id(self.reading[place]) in gone:
                del self.reading[place]
                self._close_up(len(self.active) + place, place)
        for row in range(len(self.active) - 1, -1, -1):
            if id(self.active[row]) in gone:
                self._free(row)

    def urgent_first(self) -> int:
        """Bring the urgent sequences into the first rows; how many there are."""
        first = 0
        for row, sequence in enumerate(self.active):
            if sequence.urgent:
                if row != first:
                    self._swap(first, row)
                first += 1
        return first

    def _free(self, row: int) -> None:
        last = len(self.active) - 1
        if row != last:
            self._graph.move(last, row, int(self.lengths[last]))
            self.active[row] = self.active[last]
            for column in (self.tokens, self.positions, self.lengths):
                column[row] = column[last]
        self.active.pop()
        self._close_up(last, 0)

    def _close_up(self, row: int, place: int) -> None:
        """Prompts from `place` on go into `row`, which is free, and those behind it."""
        for target, sequence in enumerate(self.reading[place:], row):
            self._graph.move(target + 1, target, sequence.read)

    def _swap(self, one: int, other: int) -> None:
        self._graph.swap(one, other, int(max(self.lengths[one], self.lengths[other])))
        self.active[one], self.active[other] = self.active[other], self.active[one]
        for column in (self.tokens, self.positions, self.lengths):
            column[[one, other]] = column[[other, one]]
