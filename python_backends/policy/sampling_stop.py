"""Stop texts, found while the tokens come: one may begin in one token and end in another.

Knuth, Morris and Pratt, "Fast pattern matching in strings", SIAM J. Comput. 6 (1977): for each stop text, how much of
it the text ends with. That is also how much must be held back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from python_backends.policy.calls.vocabulary import Vocabulary


class StopSearch:
    """Looks for stop texts in a text that grows at its end.

    Works on bytes: a stop text is found even where a piece ends inside a character.

    Args:
        stops: stop texts, none of them empty.

    Attributes:
        text: all of it.
        found: the stop text that it contains, if any: that which begins first.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [_Stop(stop) for stop in stops]
        self._begins: int | None = None
        self.text = bytearray()
        self.found: str | None = None

    def push(self, piece: bytes) -> bool:
        """Add a piece, while nothing is found; whether a stop text is found now."""
        before = len(self.text)
        self.text += piece
        begins = [(before + end - stop.length, stop.text) for stop in self._stops if (end := stop.feed(piece))]
        if begins:
            self._begins, self.found = min(begins)
        return bool(begins)

    @property
    def settled(self) -> int:
        """Bytes that are part of no stop text, whatever comes: all before the one that is found."""
        if self._begins is not None:
            return self._begins
        return len(self.text) - max((stop.matched for stop in self._stops), default=0)

    @property
    def settled_length(self) -> int:
        """The same in characters."""
        return len(self.text[: self.settled].decode(errors="replace"))


class StopTexts:
    """The stop texts of one sequence of tokens; control tokens have no text.

    Args:
        vocabulary: what tokens say.
        stops: stop texts, none of them empty.
    """

    def __init__(self, vocabulary: Vocabulary, stops: Sequence[str]) -> None:
        self._vocabulary = vocabulary
        self._search = StopSearch(stops)
        self._ends: list[int] = []

    def push(self, token: int) -> bool:
        """Add a token; whether the text contains a stop text now."""
        piece = b"" if token in self._vocabulary.control else self._vocabulary.tokens[token]
        over = self._search.push(piece)
        self._ends.append(len(self._search.text))
        return over

    @property
    def found(self) -> str | None:
        """The stop text that ends the sequence, if one does."""
        return self._search.found

    @property
    def text_length(self) -> int | None:
        """Characters before `found`."""
        return None if self.found is None else self._search.settled_length

    @property
    def settled(self) -> int:
        """How many tokens no stop text can reach any more, whatever comes."""
        return bisect_right(self._ends, self._search.settled)


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
