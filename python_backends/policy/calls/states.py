"""A nondeterministic automaton over the bytes of a call, made state by state as it is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Edge = tuple[frozenset[int], int]
"""Bytes, and the state that they lead to."""

END = 0
"""The state after the call."""


@dataclass
class State:
    """A place in a text.

    Attributes:
        edges: bytes that may come, and where they lead.
        same: states that are the same place.
        longer: states that are the same place too, on a way that is never the shortest: once more round a loop.
        grow: fills in the others; called when the state is first looked at.
    """

    edges: list[Edge] = field(default_factory=list)
    same: list[int] = field(default_factory=list)
    longer: list[int] = field(default_factory=list)
    grow: Callable[[State], None] | None = None


class States:
    """States by number."""

    def __init__(self) -> None:
        self._states = [State()]

    def add(self, state: State) -> int:
        """The number of a new state."""
        self._states.append(state)
        return len(self._states) - 1

    def __len__(self) -> int:
        """States so far."""
        return len(self._states)

    def __getitem__(self, number: int) -> State:
        state = self._states[number]
        if state.grow is not None:
            grow, state.grow = state.grow, None
            grow(state)
        return state

    def closure(self, numbers: frozenset[int], *, longer: bool) -> set[int]:
        """`numbers` and what is the same place; with `longer`, on any way."""
        found, left = set(numbers), list(numbers)
        while left:
            state = self[left.pop()]
            for other in (*state.same, *(state.longer if longer else ())):
                if other not in found:
                    found.add(other)
                    left.append(other)
        return found
