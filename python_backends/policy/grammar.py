"""Tool calls that always parse: free text up to `<tool_call>`, from there the grammar, then the end of the turn.

The decoding thread asks a guide for every token of its sequence. Outside a call that is one look into a set. Inside,
the token that the policy likes best is held against the grammar first, and only where it does not fit is the mask of
all that do computed (llguidance, github.com/guidance-ai/llguidance: derivatives of the call's regular expression over a
trie of the vocabulary). Log-probabilities are those before the mask.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import ServingError, SetupError
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.grammar_call import OPEN, call_pattern
from python_backends.policy.grammar_vocabulary import Vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher

_OPEN = OPEN.encode()
_ALPHABET = bytes(range(0x20, 0x7F)) + b"\n"
"""What a call is written in: where each is a token of its own, no call comes to a dead end."""


class CallGrammar:
    """The grammar over one checkpoint's vocabulary; its guides belong to one thread each.

    Args:
        directory: version folder of `policy` (or a checkpoint).
        config: its numbers.

    Raises:
        SetupError: the tokenizer cannot spell a call, or llguidance is not installed.
    """

    def __init__(self, directory: Path, config: CheckpointConfig) -> None:
        self._vocabulary = Vocabulary.load(directory, config.vocabulary)
        self.size = config.vocabulary
        self._check()
        self._matcher = self._build(min(config.end_ids))
        tokens, control = self._vocabulary.tokens, self._vocabulary.control
        self._opening = frozenset(i for i, text in enumerate(tokens) if b"<" in text and i not in control)
        self._free: dict[int, NDArray[np.bool_]] = {}

    @property
    def vocabulary(self) -> Vocabulary:
        """What the checkpoint's tokens say."""
        return self._vocabulary

    def _check(self) -> None:
        single = {text for text in self._vocabulary.tokens if len(text) == 1}
        missing = [chr(byte) for byte in _ALPHABET if bytes([byte]) not in single]
        if missing:
            raise SetupError(
                f"No token of the checkpoint is a single {missing[0]!r}, so calls cannot be spelt under a grammar.",
                mend='Say `"grammar": false` in its pixelis.json.',
            )

    def _build(self, end: int) -> LLMatcher:
        try:
            from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
        except ModuleNotFoundError as error:
            mend = "Install it: pip install 'pixelis-serving[embedded]'; or say `\"grammar\": false` in pixelis.json."
            raise SetupError("The grammar of tool calls needs the package `llguidance`.", mend=mend) from error
        self._spelt = _Spelt(self._vocabulary, end)
        tokenizer = LLTokenizer(TokenizerWrapper(self._spelt), n_vocab=self.size, slices=[])
        matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(_lark(call_pattern())), log_level=0)
        if matcher.is_error():
            raise SetupError(f"The grammar of tool calls does not compile: {matcher.get_error()[:300]}.")
        return matcher

    def guide(self, stops: frozenset[int]) -> CallGuide:
        """A guide for one turn that `stops` end."""
        return CallGuide(self, stops)

    def scan(self, matched: int, token: int) -> tuple[int, bytes | None]:
        """Read a token of free text that begins after `matched` bytes of `<tool_call>`.

        Returns:
            How much of `<tool_call>` the text ends with now, and what came after it where it is complete.
        """
        if matched == 0 and token not in self._opening:
            return 0, None
        if token in self._vocabulary.control:  # no part of the text
            return matched, None
        text = _OPEN[:matched] + self._vocabulary.tokens[token]
        at = text.find(_OPEN)
        if at >= 0:
            return 0, text[at + len(_OPEN) :]
        most = min(len(_OPEN) - 1, len(text))
        return next((n for n in range(most, 0, -1) if text.endswith(_OPEN[:n])), 0), None

    def begin(self, rest: bytes) -> LLMatcher | None:
        """A matcher that has read `rest`, which came in one token with the end of `<tool_call>`; none: it cannot."""
        matcher, pieces = self._matcher.deep_copy(), self._spelt(rest)
        whole = len(pieces) == len(rest) and matcher.try_consume_tokens(pieces) == len(pieces)
        return matcher if whole else None

    def free(self, matched: int) -> NDArray[np.bool_]:
        """Tokens `[vocabulary]` of free text after `matched` bytes of `<tool_call>`: all that begin no broken call."""
        if matched not in self._free:
            allowed = np.ones(self.size, np.bool_)
            going_on = _OPEN[matched : matched + 1]
            for token, text in enumerate(self._vocabulary.tokens):
                if token in self._opening or text.startswith(going_on):
                    rest = self.scan(matched, token)[1]
                    allowed[token] = rest is None or self.begin(rest) is not None
            self._free[matched] = allowed
        return self._free[matched]


class CallGuide:
    """Where one sequence stands.

    Args:
        grammar: of its checkpoint.
        stops: ids that end its turn.
    """

    def __init__(self, grammar: CallGrammar, stops: frozenset[int]) -> None:
        self._grammar = grammar
        self._stops = stops
        self._matched = 0
        self._matcher: LLMatcher | None = None
        self._closed = False

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
        allowed = np.flatnonzero(self.mask())
        if not len(allowed):
            raise ServingError(f"The grammar of tool calls came to a dead end: {self._error()}")
        chosen = int(allowed[logits[allowed].argmax()])
        # log softmax differs between two tokens by the difference of their logits
        logprob += float(logits[chosen]) - float(logits[token])
        if not self.take(chosen):
            raise ServingError(f"The grammar of tool calls does not take what it allows: {self._error()}")
        return chosen, logprob

    def mask(self) -> NDArray[np.bool_]:
        """Which tokens may come next `[vocabulary]`."""
        size = self._grammar.size
        if self._closed:
            allowed = np.zeros(size, np.bool_)
            allowed[list(self._stops)] = True
            return allowed
        if self._matcher is None:
            return self._grammar.free(self._matched)
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        return np.unpackbits(bits, count=size, bitorder="little").astype(np.bool_)

    def take(self, token: int) -> bool:
        """Step past `token`; false, and no step, where it may not come."""
        if self._closed:
            return token in self._stops
        if self._matcher is not None:
            if self._matcher.try_consume_tokens([token]) != 1:
                return False
            self._closed = self._matcher.is_accepting()
            return True
        matched, rest = self._grammar.scan(self._matched, token)
        if rest is not None:
            self._matcher = self._grammar.begin(rest)
            if self._matcher is None:
                return False
            self._closed = self._matcher.is_accepting()
        self._matched = matched
        return True

    def _error(self) -> str:
        return self._matcher.get_error()[:200] if self._matcher is not None else "outside a call"


def _lark(pattern: str) -> str:
    """The grammar of one expression; without forcing, any way to spell a text that must come is allowed."""
    escaped = pattern.replace("/", r"\/")
    return f'%llguidance {{"no_forcing": true}}\nstart: /{escaped}/\n'


class _Spelt:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None

    def __init__(self, vocabulary: Vocabulary, end: int) -> None:
        self.eos_token_id = end
        self.tokens = vocabulary.tokens
        self.special_token_ids = sorted(vocabulary.control)
        single = {text: token for token, text in enumerate(vocabulary.tokens) if len(text) == 1}
        self._bytes = {text[0]: token for text, token in single.items()}

    def __call__(self, text: bytes) -> list[int]:
        """`text` byte by byte: the grammar reads bytes, and one way to spell them is as good as another."""
        return [self._bytes[byte] for byte in text if byte in self._bytes]
