"""Tool calls that always parse, are about images that are there, and end: `docs/policy.md`, "Guided calls".

A turn is free text up to `<tool_call>`, from there the grammar, then the end of the turn. llguidance says which tokens
may come inside a call; `Distances` says which of them leave room for the rest of it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pixelis.errors import SetupError
from python_backends.policy.calls.compiled import Calls
from python_backends.policy.calls.distance import Distances
from python_backends.policy.calls.engine import Engine
from python_backends.policy.calls.forms import Bounds, Form, forms
from python_backends.policy.calls.guide import CallGuide
from python_backends.policy.calls.opening import Opening
from python_backends.policy.calls.rules import automaton, lark
from python_backends.policy.calls.vocabulary import Vocabulary
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.profile import Profile

__all__ = ["CallGrammar", "CallGuide"]

_COMPILED = 32
"""Grammars that are kept, one for each number of images."""
_ALPHABET = [bytes([byte]) for byte in (*range(0x20, 0x7F), ord("\n"))]
"""What a call is written in: where each is a token of its own, no call comes to a dead end."""
_WITHIN = [bytes([byte]) for byte in range(0x80, 0xC0)]
"""What a character that tokens may cut in two ends with."""


class CallGrammar:
    """The grammar over one checkpoint's vocabulary.

    Args:
        directory: version folder of `policy` (or a checkpoint).
        config: its numbers.

    Attributes:
        vocabulary: what its tokens say.

    Raises:
        SetupError: the tokenizer cannot spell a call, or llguidance is not installed.
    """

    def __init__(self, directory: Path, config: CheckpointConfig) -> None:
        self.vocabulary = vocabulary = Vocabulary.load(directory, config.vocabulary)
        _check(vocabulary)
        self._profile = Profile.load(directory)
        self._engine = Engine(vocabulary, min(config.end_ids))
        self._opening = Opening(vocabulary)
        self._distances = Distances(vocabulary, *automaton(self._forms(1)))
        self._calls = lru_cache(_COMPILED)(self._compile)

    def guide(self, stops: frozenset[int], limit: int, images: int) -> CallGuide:
        """A guide for one turn.

        Args:
            stops: ids that end it.
            limit: tokens that it may have.
            images: of the conversation. Without any there is nothing to be called for.
        """
        return CallGuide(self._calls(images), stops, limit)

    def _compile(self, images: int) -> Calls:
        start = self._engine.compile(lark(self._forms(images))) if images else None
        return Calls(self._engine, self._opening, self._distances, start)

    def _forms(self, images: int) -> list[Form]:
        return forms(Bounds.of(self._profile, images), self._profile.dialect)


def _check(vocabulary: Vocabulary) -> None:
    single = {text for text in vocabulary.tokens if len(text) == 1}
    missing = [byte for byte in _ALPHABET if byte not in single]
    if not missing and any(_cut(text) for i, text in enumerate(vocabulary.tokens) if i not in vocabulary.control):
        missing = [byte for byte in _WITHIN if byte not in single]
    if missing:
        raise SetupError(
            f"No token of the checkpoint is a single {missing[0].decode('latin-1')!r}, so calls cannot be spelt under a"
            " grammar.",
            mend='Say `"grammar": false` in its pixelis.json.',
        )


def _cut(text: bytes) -> bool:
    """Whether a text ends within a character."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return False
