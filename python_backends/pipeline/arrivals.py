"""One turn's tokens, which come twice: a few at a time while the policy writes, and all together at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pixelis.errors import ServingError
from pixelis.schema import PolicyEvent
from python_backends.channel.packet import Packet


class Arrivals:
    """Lets every token through once, in order. What comes at the end is right; what came before must be its beginning.

    Args:
        ring: called, in the thread of `take`, when there is news.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._lock = threading.Lock()
        self._tokens: list[int] = []
        self._logprobs: list[float] = []
        self._told = 0

    def take(self, packet: Packet) -> None:
        """Tokens on the way. A packet that does not go on from those before brings nothing: the end will."""
        with self._lock:
            new = len(self._tokens) - packet.first
            if 0 <= new < len(packet.tokens):
                self._tokens += packet.tokens[new:]
                self._logprobs += packet.logprobs[new:]
        self._ring()

    def news(self) -> PolicyEvent:
        """What has come since the last time, perhaps nothing."""
        with self._lock:
            fresh = slice(self._told, len(self._tokens))
            self._told = fresh.stop
            return PolicyEvent(tokens=self._tokens[fresh], logprobs=self._logprobs[fresh])

    def rest(self, whole: PolicyEvent) -> PolicyEvent:
        """What `news` has not told of the whole turn.

        Raises:
            ServingError: it has told something else.
        """
        with self._lock:
            told = self._told
            if whole.tokens[:told] != self._tokens[:told]:
                raise ServingError("The policy's tokens on the way were not those of its turn.", mend="Try again.")
            return whole.model_copy(update={"tokens": whole.tokens[told:], "logprobs": whole.logprobs[told:]})
