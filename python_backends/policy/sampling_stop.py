"""Stop texts, found while the tokens come: one may begin in one token and end in another.

Knuth, Morris and Pratt, "Fast pattern matching in strings", SIAM J. Comput. 6 (1977): for each stop text, how much of
it the text ends with. That is also how much must be held back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from python_backends.policy.grammar_vocabulary import Vocabulary


class StopTexts:
    """Where the text of one sequence stands.

    Works on bytes: a stop text is found even where a token ends inside a character. Control tokens have no text.

    Args:
        vocabulary: what tokens say.
        stops: stop texts, none of them empty.

    Attributes:
        found: the stop text that the text contains, if any: that which begins first.
        text_length: characters before it.
    """

    def __init__(self, vocabulary: Vocabulary, stops: Sequence[str]) -> None:
        self._vocabulary = vocabulary
        self._stops = [_Stop(stop) for stop in stops]
        self._text = bytearray()
        self._ends: list[int] = []
        self.found: str | None = None
        self.text_length: int | None = None

    def push(self, token: int) -> bool:
        """Add a token; whether the text contains a stop text now."""
        piece = b"" if token in self._vocabulary.control else self._vocabulary.tokens[token]
        before = len(self._text)
        self._text += piece
        self._ends.append(len(self._text))
        begins = [(before + end - stop.length, stop.text) for stop in self._stops if (end := stop.feed(piece))]
        if begins:
            at, self.found = min(begins)
            self.text_length = len(self._text[:at].decode(errors="replace"))
        return bool(begins)

    @property
    def settled(self) -> int:
        """How many tokens no stop text can reach any more, whatever comes."""
        held = max((stop.matched for stop in self._stops), default=0)
        return bisect_right(self._ends, len(self._text) - held)


class _Stop:
    """How much of one stop text the text ends with."""

    def __init__(self, text: str) -> None:
        self.text, self._bytes = text, text.encode()
        self.length = len(self._bytes)
        self.matched = 0
        # for each length of a match: the next shorter one that it ends with
        self._shorter = [0, 0]
        for byte in self._bytes[1:]:
            known = self._longer(self._shorter[-1], byte)
            self._shorter.append(known)

    def feed(self, piece: bytes) -> int:
        """Read on; how many bytes of `piece` it took to complete the stop text, 0 if it is not complete."""
        for count, byte in enumerate(piece, 1):
            self.matched = self._longer(self.matched, byte)
            if self.matched == self.length:
                return count
        return 0

    def _longer(self, matched: int, byte: int) -> int:
        while matched and self._bytes[matched] != byte:
            matched = self._shorter[matched]
        return matched + (self._bytes[matched] == byte)
