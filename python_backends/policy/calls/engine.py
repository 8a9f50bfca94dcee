"""llguidance (github.com/guidance-ai/llguidance) over one vocabulary: which tokens a regular expression lets come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixelis.errors import SetupError
from python_backends.policy.calls.forms import PLAIN
from python_backends.policy.calls.vocabulary import Vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher

_SLICES = [f"{PLAIN.regex}{{1,10}}", f"{PLAIN.regex}{{1,30}}", f"{PLAIN.regex}+"]
"""What most tokens inside a text are: their part of a mask is known without a look at each of them."""


class Engine:
    """Compiles grammars.

    Args:
        vocabulary: the checkpoint's.
        end: a token that ends a turn.

    Attributes:
        tokens: the bytes of each id.

    Raises:
        SetupError: llguidance is not installed.
    """

    def __init__(self, vocabulary: Vocabulary, end: int) -> None:
        try:
            from llguidance import LLTokenizer, TokenizerWrapper
        except ModuleNotFoundError as error:
            mend = "Install it: pip install 'pixelis-serving[embedded]'; or say `\"grammar\": false` in pixelis.json."
            raise SetupError("The grammar of tool calls needs the package `llguidance`.", mend=mend) from error
        self.tokens = vocabulary.tokens
        self._spelt = _Spelt(vocabulary, end)
        self._tokenizer = LLTokenizer(TokenizerWrapper(self._spelt), n_vocab=len(self.tokens), slices=_SLICES)

    def compile(self, grammar: str) -> LLMatcher:
        """A matcher at the start of a grammar in llguidance's Lark.

        Raises:
            SetupError: it does not compile.
        """
        from llguidance import LLMatcher

        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(grammar), log_level=0)
        if matcher.is_error():
            raise SetupError(f"The grammar of tool calls does not compile: {matcher.get_error()[:300]}.")
        return matcher

    def begin(self, start: LLMatcher, text: bytes) -> LLMatcher | None:
        """A copy of `start` that has read `text`; none where it cannot."""
        matcher, pieces = start.deep_copy(), self._spelt(text)
        whole = len(pieces) == len(text) and matcher.try_consume_tokens(pieces) == len(pieces)
        return matcher if whole else None


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
