"""Scores of all frames from looks at few: those that can tell where something begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from python_backends.visual_ops.shots import Piece

Measure = Callable[[Sequence[int]], Sequence[float]]
"""Scores of the frames with these indexes."""
SHORT = 3
"""Frames of a piece up to which one look is enough."""


def probed(film: Sequence[Piece], measure: Measure, least: float, every: int) -> dict[int, float]:
    """Scores of the frames that were looked at.

    The middle of what is short or still; else the ends and some between, and halvings between two of which only one
    reaches `least`.

    Args:
        film: all frames.
        measure: looks at frames.
        least: score from which on something is there.
        every: frames between two first looks at a piece, at most; what comes and goes slowly within is missed.
    """
    first = sorted({at for piece in film for at in _spread(piece, every)})
    known = dict(zip(first, measure(first), strict=True))
    while halves := _halves(film, known, least):
        known.update(zip(halves, measure(halves), strict=True))
    return known


def filled(film: Sequence[Piece], known: dict[int, float]) -> list[float]:
    """Scores of all frames: between two that are known, of one piece, by how far from each the frame is."""
    scores: list[float] = []
    for piece in film:
        inside = _inside(piece, known)
        for i in range(piece.start, piece.end):
            before = max((at for at in inside if at <= i), default=inside[0])
            after = min((at for at in inside if at >= i), default=inside[-1])
            share = (i - before) / (after - before) if after > before else 0.0
            scores.append((1 - share) * known[before] + share * known[after])
    return scores


def _spread(piece: Piece, every: int) -> list[int]:
    """Frames to begin with, none further than `every` from the next."""
    length = piece.end - piece.start
    if length <= SHORT or (piece.still and length <= every):
        return [(piece.start + piece.end - 1) // 2]
    steps = -(-(length - 1) // every)
    return [piece.start + round(i * (length - 1) / steps) for i in range(steps + 1)]


def _halves(film: Sequence[Piece], known: dict[int, float], least: float) -> list[int]:
    """The middles between neighbours of one piece of which one is under `least` and one is not."""
    middles = []
    for piece in film:
        inside = _inside(piece, known)
        for a, b in pairwise(inside):
            if b - a > 1 and (known[a] >= least) != (known[b] >= least):
                middles.append((a + b) // 2)
    return middles


def _inside(piece: Piece, known: dict[int, float]) -> list[int]:
    return sorted(at for at in known if piece.start <= at < piece.end)
