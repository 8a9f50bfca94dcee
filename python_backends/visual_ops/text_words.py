"""The words of a line that was read, and where they are: from the columns at which the recogniser saw each letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from python_backends.visual_ops.text_boxes import Quad
from python_backends.visual_ops.text_letters import Letter
from python_backends.visual_ops.text_lines import Reading


@dataclass(frozen=True)
class Word:
    """Letters between spaces.

    Attributes:
        text: the word.
        confidence: mean probability of its letters.
        span: where it begins and ends, as shares of the line's width.
    """

    text: str
    confidence: float
    span: tuple[float, float]

    def quad(self, line: Quad) -> Quad:
        """Its corners, on a line whose corners begin where the text begins (`as_read`)."""
        top_left, top_right, bottom_right, bottom_left = line
        shares = np.array(self.span, np.float32)[:, None]
        top = top_left + shares * (top_right - top_left)
        bottom = bottom_left + shares * (bottom_right - bottom_left)
        return np.array([top[0], top[1], bottom[1], bottom[0]], np.float32)


def words_of(reading: Reading) -> list[Word]:
    """The words from the first one to the last one.

    The recogniser says where a letter is, not how wide it is: a word reaches over its outer letters by half of the
    distance from letter to letter, and not beyond the middle of a space or the end of the line.
    """
    letters = reading.letters
    half = _pitch(letters) / 2
    words: list[Word] = []
    start = 0
    for end in range(len(letters) + 1):
        if end < len(letters) and letters[end].text.strip():
            continue
        if end > start:
            left = max(letters[start].at - half, letters[start - 1].at if start else 0.0)
            right = min(letters[end - 1].at + half, letters[end].at if end < len(letters) else 1.0)
            part = letters[start:end]
            words.append(
                Word("".join(x.text for x in part), float(np.mean([x.confidence for x in part])), (left, right))
            )
        start = end + 1
    return words


def _pitch(letters: Sequence[Letter]) -> float:
    """Distance from one letter to the next one of the same word, a median; the whole line for a single letter."""
    steps = [b.at - a.at for a, b in pairwise(letters) if a.text.strip() and b.text.strip()]
    return float(np.median(steps)) if steps else 1.0
