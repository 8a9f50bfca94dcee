"""What Triton's vLLM backend answers, as tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from pixelis.errors import ServingError
from pixelis.json_text import loads
from python_backends.rows import Tensors

OUTPUTS = ("text_output", "finish_reason", "logprobs")
_LEAST = -9999.0
"""For minus infinity, which JSON does not carry (vLLM's own server answers so)."""


@dataclass(frozen=True)
class Reply:
    """One message.

    Attributes:
        tokens: ids that are new.
        logprobs: theirs.
        finish: why it is the last one (`stop`, `length`, `abort`); none = more will come.
    """

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: str | None = None

    @classmethod
    def read(cls, tensors: Tensors) -> Reply:
        """The message in `tensors`.

        `logprobs` is a list with an object for each new token: id -> log-probability, the token's own first.

        Raises:
            ServingError: it is none.
        """
        try:
            (finish,), (said,) = tensors["finish_reason"].reshape(-1), tensors["logprobs"].reshape(-1)
            entries = [next(iter(entry.items())) for entry in loads(said) or ()]
            tokens = [int(token) for token, _ in entries]
            logprobs = [_finite(entry["logprob"]) for _, entry in entries]
            reason = finish.decode() if isinstance(finish, bytes) else str(finish)
            if not all(0 <= token < 2**31 for token in tokens):
                raise ValueError("a token is no id")
        except (KeyError, ValueError, TypeError, StopIteration, AttributeError, OverflowError) as error:
            raise ServingError(
                f"vLLM's backend answered something that is no list of tokens ({type(error).__name__}).",
                mend="It must know `return_logprobs` and `return_finish_reason`; docs/vllm.md says which does.",
            ) from error
        return cls(tokens, logprobs, None if reason == "None" else reason)


def _finite(value: Any) -> float:
    found = float(value)
    return _LEAST if math.isnan(found) else min(max(found, _LEAST), 0.0)
