"""The shortest way from each state to the end of a call, counted in tokens."""

from __future__ import annotations

from collections.abc import Iterator

from python_backends.policy.calls.states import END, Core, States, Ways
from python_backends.policy.calls.tree import TokenTree

FAR = 255
"""What has no way to the end is this far from it."""


def shortest(tree: TokenTree, states: States) -> list[int]:
    """Tokens by state, at most `FAR`.

    Exact for the shortest calls that there are: numbers of one part, texts of one character, nothing that may be left
    out (see `pattern`). As a token may hold more than that at once, some end may be nearer than it says, and none
    further.
    """
    search = _Search(tree, states)
    return [search.cost(state) for state in range(len(states))]


class _Search:
    def __init__(self, tree: TokenTree, states: States) -> None:
        self._tree = tree
        self._states = states
        self._costs = {END: 0}
        self._known: dict[Core, Ways] = {}

    def cost(self, state: int) -> int:
        """Without loops no way leads back to a state, so this ends."""
        if state not in self._costs:
            core = frozenset({(state, 0)})
            over = (END, 0) in self._states.closure(core, longer=False)
            ends = (min(self.cost(other) for other, _ in reached) for reached in self._after_one(core))
            self._costs[state] = 0 if over else min(min(ends, default=FAR) + 1, FAR)
        return self._costs[state]

    def _after_one(self, core: Core) -> Iterator[Core]:
        """Where single tokens lead: down the tree of tokens and through the states at once."""
        seen: set[Core] = set()
        left = [(core, self._tree.root)]
        while left:
            core, node = left.pop()
            children = self._tree.children(node)
            for byte, reached in self._ways(core).items():
                child = children.get(byte)
                if child is None:
                    continue
                if child.whole and reached not in seen:
                    seen.add(reached)
                    yield reached
                left.append((reached, child))

    def _ways(self, core: Core) -> Ways:
        if core not in self._known:
            self._known[core] = self._states.ways(core, longer=False)
        return self._known[core]
