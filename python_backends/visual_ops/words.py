"""How well words can be read in each frame."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.text import normalise
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.read_text import read_text

MOST_READ = 12
"""Frames that are read at most, spread evenly over those that differ: text takes a fraction of a second each."""
LOOK = (96, 96)
SAME = 2.0
"""Mean difference of grey values, in the patch of `LOOK` that differs most, up to which a frame is the one before."""


def word_scores(frames: Sequence[Pixels], query: str, ocr: Ocr) -> tuple[list[float], list[int]]:
    """Scores 0-1 of every frame, and which frames were read.

    A frame that was not read, because it looks like the one before or there were too many, has the score of the last
    one that was.
    """
    different = _different(frames)
    if len(different) > MOST_READ:
        chosen = np.linspace(0, len(different) - 1, MOST_READ).round().astype(int)
        different = [different[i] for i in chosen]
    found = {i: match(query, read_text(frames[i], {"return_boxes": False}, ocr)["text"]) for i in different}
    scores: list[float] = []
    for i in range(len(frames)):
        scores.append(found.get(i, scores[-1] if scores else 0.0))
    return scores, different


def match(query: str, text: str) -> float:
    """How alike `query` is to the passage of `text` that is most like it, 0-1, whatever the case and the spaces."""
    wanted, words = normalise(query), normalise(text).split()
    count = len(wanted.split())
    best = 0.0
    for length in {max(1, count - 1), count, count + 1}:
        for start in range(max(1, len(words) - length + 1)):
            passage = " ".join(words[start : start + length])
            matcher = SequenceMatcher(None, wanted, passage, autojunk=False)
            if matcher.real_quick_ratio() > best:
                best = max(best, matcher.ratio())
    return best


def _different(frames: Sequence[Pixels]) -> list[int]:
    """Indexes of the frames that do not look like the last one listed, the first included."""
    kept, looks = [0], _look(frames[0])
    for i, frame in enumerate(frames[1:], 1):
        now = _look(frame)
        if cv2.blur(np.abs(now - looks), (8, 8)).max() > SAME:
            kept.append(i)
            looks = now
    return kept


def _look(frame: Pixels) -> NDArray[np.float32]:
    grey = cv2.cvtColor(cv2.resize(frame, LOOK, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, np.float32)
