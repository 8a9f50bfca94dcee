"""Drafts from the sequence itself: what followed when its last tokens stood there before.

Prompt lookup decoding (Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding; n-grams as in LLMA, arXiv
2304.04487). The graph reads the last token and the draft in one step; as long as its own choice is the draft's next
token, that token is kept, so the result is what plain decoding gives: greedy, or drawn, since every draw follows from
the seed and the place of its token.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST, SHORTEST = 4, 2
"""Tokens of the n-gram that is looked up; the longest that is found counts."""
DRAFT = 8
"""Tokens of a draft, at most."""
_SMOOTHING = 0.2
_PAUSE = 64
"""Steps without drafts after they did not pay."""


def propose(ids: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """What followed the last earlier place where `ids` ended as it ends now.

    Args:
        ids: the sequence so far `[S]`.
        most: tokens of the draft, at most.

    Returns:
        the draft, empty where there is no such place.
    """
    for size in range(LONGEST, SHORTEST - 1, -1):
        if len(ids) <= size or most < 1:
            continue
        tail = ids[-size:]
        # a match must end before the last token, so that something follows it
        windows = np.lib.stride_tricks.sliding_window_view(ids[:-1], size)
        found = np.flatnonzero((windows == tail).all(axis=1))
        if len(found):
            start = int(found[-1]) + size
            return ids[start : start + most]
    return ids[:0]


class Speculation:
    """Whether drafts pay, from what they cost and brought lately.

    Args:
        enabled: false = never.

    Attributes:
        drafted: tokens that were drafted.
        accepted: those of them that were right.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self.drafted = 0
        self.accepted = 0
        self._single_s: float | None = None
        self._gain = 1.0
        self._pause = 0

    def wanted(self) -> bool:
        """Whether to draft at this step. Every step asks once."""
        if not self.enabled or self._single_s is None:
            return False  # what a plain step takes is not known yet
        if self._pause:
            self._pause -= 1
            return False
        return True

    def plain(self, seconds: float) -> None:
        """A step of one token of one sequence took `seconds`."""
        before = seconds if self._single_s is None else self._single_s
        self._single_s = before + _SMOOTHING * (seconds - before)

    def checked(self, drafted: int, accepted: int, seconds: float) -> None:
        """A draft of `drafted` tokens brought `accepted` and the one after them in `seconds`."""
        self.drafted += drafted
        self.accepted += accepted
        gain = (accepted + 1) * (self._single_s or seconds) / seconds
        self._gain += _SMOOTHING * (gain - self._gain)
        if self._gain < 1.0:
            self._pause, self._gain = _PAUSE, 1.0
