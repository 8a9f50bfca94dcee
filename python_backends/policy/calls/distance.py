"""How many tokens the end of a call is away, and how many after each token that may come.

The distance is exact for the shortest calls that there are: numbers of one digit, texts of one character, nothing that
may be left out (see `pattern`). So it is an upper bound, and a way of that length is always there to be taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from python_backends.policy.calls.allowed import Allowed
from python_backends.policy.calls.states import END, States
from python_backends.policy.calls.tree import TokenTree
from python_backends.policy.calls.vocabulary import Vocabulary

FAR = 255
"""What has no way to the end is this far from it."""
REACH = 128
"""No end is further than this: no shortest call has more bytes, and each of those is a token."""
NOWHERE = 0
"""The place after a text that no call begins with."""
_REMEMBERED = 1 << 24
"""Bytes for places where many tokens may come, one for each token."""
_FEW = 48
"""So many tokens are looked at one by one."""

Core = frozenset[int]


class Distances:
    """Places in the text of a call, by number; made as they are looked at, for several threads.

    Args:
        vocabulary: the checkpoint's.
        states: all calls.
        start: the state after `<tool_call>`.

    Attributes:
        start: the place after `<tool_call>`.
        end: the place after `</tool_call>`.
    """

    def __init__(self, vocabulary: Vocabulary, states: States, start: int) -> None:
        self._vocabulary = vocabulary
        self._tokens = TokenTree(vocabulary)
        self._states = states
        self._lock = RLock()
        self._places: dict[Core, int] = {}
        self._cores: list[Core] = []
        self._rows: dict[int, list[int]] = {}
        self._table = np.zeros((256, 256), np.int32)
        self._costs: dict[int, int] = {END: 0}
        self._far: dict[int, int] = {}
        self._lean: dict[Core, dict[int, Core]] = {}
        self._after = lru_cache(_REMEMBERED // len(vocabulary.tokens))(self._find_after)
        self._place(frozenset())
        self.start, self.end = self._place(frozenset({start})), self._place(frozenset({END}))

    def step(self, place: int, text: bytes) -> int:
        """The place after `text`."""
        for byte in text:
            place = (self._rows.get(place) or self._row(place))[byte]
        return place

    def tokens(self, place: int) -> int:
        """Tokens of the shortest way from a place to the end."""
        known = self._far.get(place)
        if known is None:
            with self._lock:
                known = min((self._cost(state) for state in self._cores[place]), default=FAR)
                self._far[place] = known
        return known

    def near(self, place: int, allowed: Allowed, left: int) -> Allowed:
        """Those of `allowed` after which the end is less than `left` tokens away."""
        if allowed.ids is not None and len(allowed.ids) <= _FEW:
            texts = self._vocabulary.tokens
            far = [self.tokens(self.step(place, texts[token])) for token in allowed.ids.tolist()]
            return Allowed(ids=allowed.ids[np.array(far) < left])
        return allowed.among(self._after(place) < left)

    def _find_after(self, place: int) -> NDArray[np.uint8]:
        """How far the end is after each token `[vocabulary]`."""
        with self._lock:
            ids, places = self._walk(place)
            by_place = np.zeros(len(self._cores), np.uint8)
            for other in _distinct(places):
                by_place[other] = self.tokens(other)
        far = np.full(len(self._vocabulary.tokens), FAR, np.uint8)
        far[ids] = by_place[places]
        return far

    def _walk(self, place: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Ids of the tokens that may come, and the place after each: all tokens at once, byte by byte."""
        tokens = self._tokens
        row = self._rows.get(place) or self._row(place)
        first = tokens.children(tokens.root)
        spans = [np.arange(node.low, node.high, dtype=np.int32) for byte, node in first.items() if row[byte]]
        at = np.concatenate([np.zeros(0, np.int32), *spans])
        places = self._table[place, tokens.flat[tokens.starts[at]]]
        found = [(at[:0], places[:0])]
        depth = 1
        while len(at):
            whole = tokens.lengths[at] == depth
            found.append((at[whole], places[whole]))
            at, places = at[~whole], places[~whole]
            for other in _distinct(places):
                if other not in self._rows:
                    self._row(other)
            places = self._table[places, tokens.flat[tokens.starts[at] + depth]]
            alive = places != NOWHERE
            at, places = at[alive], places[alive]
            depth += 1
        return tokens.ids[np.concatenate([a for a, _ in found])], np.concatenate([b for _, b in found])

    # -- places: sets of states, made deterministic byte by byte --------------------------------------------------

    def _place(self, core: Core) -> int:
        if core not in self._places:
            self._places[core] = len(self._cores)
            self._cores.append(core)
        return self._places[core]

    def _row(self, place: int) -> list[int]:
        """The place after each byte."""
        with self._lock:
            row = [NOWHERE] * 256
            for byte, core in self._ways(self._cores[place], longer=True).items():
                row[byte] = self._place(core)
            while place >= len(self._table):
                self._table = np.concatenate([self._table, np.zeros_like(self._table)])
            self._table[place] = row
            self._rows[place] = row
            return row

    def _ways(self, core: Core, *, longer: bool) -> dict[int, Core]:
        """What each byte leads to; with `longer`, on any way."""
        targets: dict[int, set[int]] = {}
        for state in self._states.closure(core, longer=longer):
            for allowed, target in self._states[state].edges:
                for byte in allowed:
                    targets.setdefault(byte, set()).add(target)
        return {byte: frozenset(reached) for byte, reached in targets.items()}

    # -- costs of states ------------------------------------------------------------------------------------------

    def _cost(self, state: int) -> int:
        """Tokens of the shortest way from a state to the end. Without loops there is no way back, so this ends."""
        if state not in self._costs:
            ends = (min(self._cost(other) for other in core) for core in self._spelt(state))
            self._costs[state] = 0 if self._at_end(state) else min(min(ends, default=FAR) + 1, FAR)
        return self._costs[state]

    def _at_end(self, state: int) -> bool:
        return END in self._states.closure(frozenset({state}), longer=False)

    def _spelt(self, state: int) -> Iterator[Core]:
        """What single tokens lead to on shortest ways: down the tree of all tokens, along both at once."""
        seen: set[Core] = set()
        left = [(frozenset({state}), self._tokens.root)]
        while left:
            core, node = left.pop()
            children = self._tokens.children(node)
            for byte, reached in self._shortest(core).items():
                child = children.get(byte)
                if child is None:
                    continue
                if child.whole and reached not in seen:
                    seen.add(reached)
                    yield reached
                left.append((reached, child))

    def _shortest(self, core: Core) -> dict[int, Core]:
        if core not in self._lean:
            self._lean[core] = self._ways(core, longer=False)
        return self._lean[core]


def _distinct(places: NDArray[np.int32]) -> list[int]:
    """Each value once; the values are small."""
    values: list[int] = np.flatnonzero(np.bincount(places)).tolist()
    return values
