"""Which waiting prompts are read together."""

from __future__ import annotations

from collections.abc import Iterable

from python_backends.policy.request import Sequence

MAX_PADDING = 0.25
"""Share of a prefill batch that may be padding: reading padding costs as much as reading text."""

MAX_PREFILL_TOKENS = 4096
"""Places of one prefill batch, so that running sequences do not stand still for long."""


def prefill_groups(
    sequences: Iterable[Sequence], max_padding: float = MAX_PADDING, max_tokens: int = MAX_PREFILL_TOKENS
) -> list[list[Sequence]]:
    """Sort by length, and cut where a longer prompt would add too much padding or too many places.

    A single prompt above `max_tokens` is a group of its own.
    """
    groups: list[list[Sequence]] = []
    total = 0
    for sequence in sorted(sequences, key=lambda s: s.length):
        width = sequence.length
        if groups:
            places = width * (len(groups[-1]) + 1)
            if places <= max_tokens and places - total - width <= max_padding * places:
                groups[-1].append(sequence)
                total += width
                continue
        groups.append([sequence])
        total = width
    return groups
