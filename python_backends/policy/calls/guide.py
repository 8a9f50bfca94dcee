"""Where one turn stands: in free text, in a call, or after it; and which tokens may come there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import ServingError
from python_backends.policy.calls.allowed import Allowed
from python_backends.policy.calls.compiled import Calls

if TYPE_CHECKING:
    from llguidance import LLMatcher


class CallGuide:
    """Asked for every token of one turn, by one thread.

    The token that the policy likes best is held against the grammar first; a mask is made only where it does not fit.

    Args:
        calls: what its calls may say.
        stops: ids that end the turn; without any, free text goes on after a call.
        limit: tokens that the turn may have. A call is opened only where it can be closed.
    """

    def __init__(self, calls: Calls, stops: frozenset[int], limit: int) -> None:
        self._calls = calls
        self._stops = stops
        self._ends = np.array(sorted(stops), np.int64)
        self._left = limit
        self._matched = 0
        self._matcher: LLMatcher | None = None
        self._place = calls.distances.start
        self._closed = False

    @property
    def inside(self) -> bool:
        """Whether a call is open."""
        return self._matcher is not None and not self._closed

    def choose(self, logits: NDArray[np.float32], token: int, logprob: float) -> tuple[int, float]:
        """The likeliest token that may come next, and step past it.

        Args:
            logits: `[vocabulary]`, as the policy gave them.
            token: the likeliest of all.
            logprob: its log-probability.

        Returns:
            The token, and its log-probability before the mask.

        Raises:
            ServingError: the grammar's own limits were hit.
        """
        if self.take(token):
            return token, logprob
        chosen = self._allowed().likeliest(logits)
        if chosen is None:
            raise ServingError(f"The grammar of tool calls came to a dead end: {self._error()}")
        # log softmax differs between two tokens by the difference of their logits
        logprob += float(logits[chosen]) - float(logits[token])
        if not self.take(chosen):
            raise ServingError(f"The grammar of tool calls does not take what it allows: {self._error()}")
        return chosen, logprob

    def take(self, token: int) -> bool:
        """Step past `token`; false, and no step, where it may not come."""
        if self._closed:
            return token in self._stops
        taken = self._free(token) if self._matcher is None else self._inside(self._matcher, token)
        self._left -= taken
        return taken

    def mask(self) -> NDArray[np.bool_]:
        """Which tokens may come next `[vocabulary]`; not to be written to."""
        return self._allowed().mask(self._calls.size)

    def _allowed(self) -> Allowed:
        calls = self._calls
        if self._closed:
            return Allowed(ids=self._ends)
        if self._matcher is None:
            return calls.free(self._matched, self._left)
        allowed = Allowed.of_bits(calls.bits(self._matcher), calls.size)
        if self._left > calls.distances.furthest:
            return allowed
        return calls.distances.near(self._place, allowed, self._left)

    def _free(self, token: int) -> bool:
        matched, rest = self._calls.opening.scan(self._matched, token)
        if rest is not None and not self._open(rest):
            return False
        self._matched = matched
        return True

    def _open(self, rest: bytes) -> bool:
        """Begin a call that has `rest` in the token that opens it; false where it cannot be, or not be closed."""
        distances = self._calls.distances
        place = distances.step(distances.start, rest)
        matcher = self._calls.begin(rest) if distances.tokens(place) < self._left else None
        if matcher is None:
            return False
        self._arrive(matcher, place)
        return True

    def _inside(self, matcher: LLMatcher, token: int) -> bool:
        distances = self._calls.distances
        place = distances.step(self._place, self._calls.tokens[token])
        if self._left <= distances.furthest and distances.tokens(place) >= self._left:
            return False
        if matcher.try_consume_tokens([token]) != 1:
            return False
        self._arrive(matcher, place)
        return True

    def _arrive(self, matcher: LLMatcher, place: int) -> None:
        over = place == self._calls.distances.end
        self._closed = over and bool(self._stops)
        self._matcher = None if over and not self._stops else matcher
        self._place = place

    def _error(self) -> str:
        return self._matcher.get_error()[:200] if self._matcher is not None else "outside a call"
