"""Which waiting prompts are read together."""

from __future__ import annotations

from collections.abc import Iterable

from python_backends.policy.request import Sequence

MAX_PADDING = 0.25
"""Share of a prefill batch that may be padding: reading padding costs as much as reading text."""


def group_with(first: Sequence, others: Iterable[Sequence], max_tokens: int) -> list[Sequence]:
    """`first`, and those of `others` that are read together with it: see `prefill_groups`."""
    groups = prefill_groups([first, *others], max_tokens)
    group = next(group for group in groups if any(sequence is first for sequence in group))
    return [first, *(sequence for sequence in group if sequence is not first)]


def prefill_groups(
    sequences: Iterable[Sequence], max_tokens: int, max_padding: float = MAX_PADDING
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
