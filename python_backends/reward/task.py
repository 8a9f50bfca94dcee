"""Whether the answer is right, where the right one is known."""

from __future__ import annotations

from difflib import SequenceMatcher

from python_backends.text import normalise


def task(answer: str | None, reference: str | None) -> float | None:
    """1 for an exact match after normalisation, else 0.5 x similarity ratio; none without a reference.

    The ratio is `difflib.SequenceMatcher`'s, without its heuristic for frequent characters, which would make the
    value of a long answer depend on its length.
    """
    if reference is None:
        return None
    given, right = normalise(answer or ""), normalise(reference)
    if given == right:
        return 1.0
    return 0.5 * SequenceMatcher(None, given, right, autojunk=False).ratio()
