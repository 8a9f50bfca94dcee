"""A nondeterministic automaton over the bytes of a call."""

from __future__ import annotations

from dataclasses import dataclass, field

Edge = tuple[frozenset[int], int]
"""Bytes, and the state that they lead to."""
At = tuple[int, int]
"""A state, and the optional arguments that the text before it has, one bit for each."""
Core = frozenset[At]
"""Where a text can have led."""
Ways = dict[int, Core]
"""Where each byte leads."""

END = 0
"""The state after the call."""


@dataclass
class State:
    """A place in a text.

    Attributes:
        edges: bytes that may come, and where they lead.
        same: states that are the same place.
        longer: states that are the same place too, on a way that is never the shortest: once more round a loop (0), or
            into an optional argument (its bit), which comes once at most.
    """

    edges: list[Edge] = field(default_factory=list)
    same: list[int] = field(default_factory=list)
    longer: list[tuple[int, int]] = field(default_factory=list)


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

    def closure(self, core: Core, *, longer: bool) -> set[At]:
        """`core` and what is the same place; with `longer`, on any way."""
        found, left = set(core), list(core)
        while left:
            number, had = left.pop()
            state = self._states[number]
            others = [(other, had) for other in state.same]
            if longer:
                others += [(other, had | bit) for other, bit in state.longer if not had & bit]
            fresh = [other for other in others if other not in found]
            found.update(fresh)
            left += fresh
        return found

    def ways(self, core: Core, *, longer: bool) -> Ways:
        """Where each byte leads; with `longer`, on any way."""
        targets: dict[int, set[At]] = {}
        for number, had in self.closure(core, longer=longer):
            for allowed, target in self._states[number].edges:
                for byte in allowed:
                    targets.setdefault(byte, set()).add((target, had if target != END else 0))
        return {byte: frozenset(reached) for byte, reached in targets.items()}
