"""How well words can be read in each frame."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.text import normalise
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.frames import listed
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.probing import filled, probed
from python_backends.visual_ops.read_text import read_text
from python_backends.visual_ops.shots import pieces

EVERY = 12
"""Frames between two first readings of a shot, at most."""
LOOK = (96, 96)
SAME = 2.0
"""Mean difference of grey values, in the patch of `LOOK` that differs most, up to which a frame is the one before."""


def word_scores(
    frames: Sequence[Pixels], query: str, ocr: Ocr, least: float, effort: Effort
) -> tuple[list[float], list[int]]:
    """Scores 0-1 of every frame, and which frames were read.

    Where something may be left out, a frame that looks like one before is not read, and of the others only those that
    tell where the words begin and end.

    Args:
        frames: `[height, width, 3]` RGB.
        query: the words.
        ocr: reads them.
        least: score from which on they are there.
        effort: how hard to look; each frame is read with the same ladder.
    """
    found: dict[int, float] = {}

    def read(frame: int) -> float:
        look = Effort(effort.ladder)
        found[frame] = match(query, read_text(frames[frame], {"return_boxes": False}, ocr, look)["text"])
        effort.looks += 1
        effort.resolution = max(look.resolution, effort.resolution if effort.looks > 1 else 0.0)
        return found[frame]

    if not effort.ladder.stop_early:
        return [read(i) for i in range(len(frames))], list(range(len(frames)))
    alike, film = _alike(frames), pieces(frames)

    def measure(indexes: Sequence[int]) -> list[float]:
        return [found[alike[i]] if alike[i] in found else read(alike[i]) for i in indexes]

    known = probed(film, measure, least, EVERY)
    for i, like in enumerate(alike):
        if like in found:
            known[i] = found[like]
    if len(found) < len(frames):
        effort.skip(f"frames {listed([i for i in range(len(frames)) if i not in found])}")
    return filled(film, known), sorted(found)


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


def _alike(frames: Sequence[Pixels]) -> list[int]:
    """For each frame, the first one of those before it that look the same without a change between."""
    alike, looks = [0], _look(frames[0])
    for i, frame in enumerate(frames[1:], 1):
        now = _look(frame)
        if cv2.blur(np.abs(now - looks), (8, 8)).max() > SAME:
            alike.append(i)
            looks = now
        else:
            alike.append(alike[-1])
    return alike


def _look(frame: Pixels) -> NDArray[np.float32]:
    grey = cv2.cvtColor(cv2.resize(frame, LOOK, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, np.float32)
