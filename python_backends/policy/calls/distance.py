"""How many tokens the end of a call is away, from where its text has led and after each token that may come next.

It is never further than that: a way of so many tokens is always there to be taken (see `shortest`).
"""

from __future__ import annotations

from functools import lru_cache
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from python_backends.policy.calls.allowed import Allowed
from python_backends.policy.calls.shortest import FAR, shortest
from python_backends.policy.calls.states import END, Core, States
from python_backends.policy.calls.tree import TokenTree
from python_backends.policy.calls.vocabulary import Vocabulary

NOWHERE = 0
"""The place after a text that no call begins with."""
_REMEMBERED = 1 << 24
"""Bytes for places where many tokens may come, one for each token."""
_FEW = 48
"""So many tokens are looked at one by one."""


class Distances:
    """Places in the text of a call, by number; made as they are looked at, for several threads.

    Args:
        vocabulary: the checkpoint's.
        states: all calls.
        start: the state after `<tool_call>`.

    Attributes:
        start: the place after `<tool_call>`.
        end: the place after `</tool_call>`.
        furthest: no place is further from the end.
    """

    def __init__(self, vocabulary: Vocabulary, states: States, start: int) -> None:
        self._vocabulary = vocabulary
        self._tokens = TokenTree(vocabulary)
        self._states = states
        self._costs = shortest(self._tokens, states)
        self.furthest = max(cost for cost in self._costs if cost < FAR)
        self._lock = RLock()
        self._places: dict[Core, int] = {}
        self._cores: list[Core] = []
        self._rows: dict[int, list[int]] = {}
        self._table = np.zeros((256, 256), np.int32)
        self._far: list[int] = []
        self._after = lru_cache(_REMEMBERED // len(vocabulary.tokens))(self._find_after)
        self._place(frozenset())
        self.start, self.end = self._place(frozenset({(start, 0)})), self._place(frozenset({(END, 0)}))

    def step(self, place: int, text: bytes) -> int:
        """The place after `text`."""
        for byte in text:
            place = (self._rows.get(place) or self._row(place))[byte]
        return place

    def tokens(self, place: int) -> int:
        """Tokens of the shortest way from a place to the end."""
        return self._far[place]

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
            far = np.full(len(self._vocabulary.tokens), FAR, np.uint8)
            far[ids] = np.array(self._far, np.uint8)[places]
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
            self._far.append(min((self._costs[state] for state, _ in core), default=FAR))
            self._cores.append(core)
            self._places[core] = len(self._places)
        return self._places[core]

    def _row(self, place: int) -> list[int]:
        """The place after each byte."""
        with self._lock:
            row = [NOWHERE] * 256
            for byte, core in self._states.ways(self._cores[place], longer=True).items():
                row[byte] = self._place(core)
            while place >= len(self._table):
                self._table = np.concatenate([self._table, np.zeros_like(self._table)])
            self._table[place] = row
            self._rows[place] = row
            return row


def _distinct(places: NDArray[np.int32]) -> list[int]:
    """Each value once; the values are small."""
    values: list[int] = np.flatnonzero(np.bincount(places)).tolist()
    return values
