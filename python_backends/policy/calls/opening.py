"""`<tool_call>` in free text, however tokens cut it up."""

from __future__ import annotations

from python_backends.policy.calls.forms import OPEN
from python_backends.policy.calls.vocabulary import Vocabulary

_OPEN = OPEN.encode()


class Opening:
    """Finds the mark.

    Args:
        vocabulary: the checkpoint's.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        tokens, control = vocabulary.tokens, vocabulary.control
        self._beginning = frozenset(i for i, text in enumerate(tokens) if b"<" in text and i not in control)
        self._completing: dict[int, list[tuple[int, bytes]]] = {}

    def scan(self, matched: int, token: int) -> tuple[int, bytes | None]:
        """Read a token of free text that begins after `matched` bytes of the mark.

        Returns:
            How much of the mark the text ends with now, and what came after it where it is complete.
        """
        if matched == 0 and token not in self._beginning:
            return 0, None
        if token in self._vocabulary.control:  # no part of the text
            return matched, None
        text = _OPEN[:matched] + self._vocabulary.tokens[token]
        at = text.find(_OPEN)
        if at >= 0:
            return 0, text[at + len(_OPEN) :]
        most = min(len(_OPEN) - 1, len(text))
        return next((n for n in range(most, 0, -1) if text.endswith(_OPEN[:n])), 0), None

    def completing(self, matched: int) -> list[tuple[int, bytes]]:
        """Tokens that complete the mark after `matched` bytes of it, and what they say after it."""
        if matched not in self._completing:
            going_on = _OPEN[matched : matched + 1]
            chosen = [i for i, text in enumerate(self._vocabulary.tokens) if text.startswith(going_on)]
            scanned = ((token, self.scan(matched, token)[1]) for token in {*self._beginning, *chosen})
            self._completing[matched] = [(token, rest) for token, rest in scanned if rest is not None]
        return self._completing[matched]
