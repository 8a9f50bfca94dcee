"""The calls of conversations with so many images, ready for guides."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from python_backends.policy.calls.allowed import Allowed, Bits
from python_backends.policy.calls.distance import Distances
from python_backends.policy.calls.engine import Engine
from python_backends.policy.calls.opening import Opening

if TYPE_CHECKING:
    from llguidance import LLMatcher

_NEVER = np.iinfo(np.int64).max


class Calls:
    """What all guides of one checkpoint and one number of images share.

    Args:
        engine: that `start` was compiled with.
        opening: finds `<tool_call>`.
        distances: how far the end of a call is.
        start: a matcher after `<tool_call>`; none where there are no calls, as there is no image.

    Attributes:
        opening, distances: as given.
        tokens: the bytes of each id.
        size: of the vocabulary.
    """

    def __init__(self, engine: Engine, opening: Opening, distances: Distances, start: LLMatcher | None) -> None:
        self._engine = engine
        self._start = start
        self.opening = opening
        self.distances = distances
        self.tokens = engine.tokens
        self.size = len(engine.tokens)
        self._all = np.ones(self.size, np.bool_)
        self._all.flags.writeable = False
        self._words = -(-self.size // 32)
        self._openings = lru_cache(maxsize=None)(self._find_openings)

    def begin(self, rest: bytes) -> LLMatcher | None:
        """A matcher that has read `rest`, which came in one token with the end of `<tool_call>`; none: it cannot."""
        return None if self._start is None else self._engine.begin(self._start, rest)

    def bits(self, matcher: LLMatcher) -> Bits:
        """Which tokens llguidance lets come."""
        bits = np.empty(self._words, np.uint32)
        matcher.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)
        return bits

    def free(self, matched: int, left: int) -> Allowed:
        """Tokens of free text: all that open no broken call, and none that cannot be closed.

        Args:
            matched: bytes of `<tool_call>` that the text ends with.
            left: tokens that may come, this one included.
        """
        tokens, far = self._openings(matched)
        without = tokens[far >= left]
        if not len(without):
            return Allowed(flags=self._all)
        allowed = self._all.copy()
        allowed[without] = False
        return Allowed(flags=allowed)

    def _find_openings(self, matched: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tokens that open a call after `matched` bytes of the mark, and how far its end is after each."""
        found = self.opening.completing(matched)
        tokens, far = np.zeros(len(found), np.int64), np.full(len(found), _NEVER)
        for i, (token, rest) in enumerate(found):
            tokens[i] = token
            if self.begin(rest) is not None:
                far[i] = self.distances.tokens(self.distances.step(self.distances.start, rest))
        return tokens, far
