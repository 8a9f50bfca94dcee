"""Whether two systems wrote the same, token for token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Agreement:
    """Of one system with the reference.

    Attributes:
        requests: compared.
        equal: with all tokens equal.
        tokens: compared.
        before: equal tokens before the first that differs; what follows it has another prefix and is not compared.
        distinct: different answers of the reference: of equal ones agreement would mean nothing.
    """

    requests: int
    equal: int
    tokens: int
    before: int
    distinct: int

    def row(self) -> dict[str, Any]:
        """As columns of a row."""
        share = round(self.equal / self.requests, 4) if self.requests else None
        return {
            "compared": self.requests,
            "equal_share": share,
            "equal_tokens_share": round(self.before / self.tokens, 4) if self.tokens else None,
            "distinct_answers": self.distinct,
        }


Written = Mapping[tuple[int, ...], Sequence[int]]
"""Tokens by prompt."""


def agreement(reference: Written, other: Written) -> Agreement:
    """Over the prompts that both have answered."""
    both = [prompt for prompt in other if prompt in reference]
    pairs = [(list(reference[prompt]), list(other[prompt])) for prompt in both]
    before = 0
    for mine, theirs in pairs:
        before += next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), len(mine))
    return Agreement(
        requests=len(pairs),
        equal=sum(mine == theirs for mine, theirs in pairs),
        tokens=sum(len(mine) for mine, _ in pairs),
        before=before,
        distinct=len({tuple(mine) for mine, _ in pairs}),
    )
