"""TEMPORAL_LOCALIZE: in which frames something is.

There is no encoder that puts words and pictures into one space, so a query is one of two things that can be measured:
words that are to be read in the frames, or an example of what it looks like.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pixelis.errors import InvalidOperation
from python_backends.images import Pixels
from python_backends.visual_ops.arguments import LocalizeArguments, clipped, parse
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.example import example_scores
from python_backends.visual_ops.features import Features
from python_backends.visual_ops.frames import same_size
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.segments import STAY, segments
from python_backends.visual_ops.words import word_scores

WORDS, EXAMPLE = 0.75, 0.45
"""Scores from which on it is there, by kind of query. For an example measured on clips: 91 to 95 % of frames right."""


def temporal_localize(
    frames: Sequence[Pixels],
    index: int,
    arguments: dict[str, Any],
    ocr: Ocr,
    features: Features,
    effort: Effort | None = None,
) -> dict[str, Any]:
    """Score every frame and find the spans in which the score is high.

    Args:
        frames: `[height, width, 3]` RGB.
        index: the frame that the call is about.
        arguments: `query`: words (a text), or `{"bbox": [x1, y1, x2, y2], "frame": number}`; `threshold` (0.75 for
            words, 0.45 for an example); `fps`.
        ocr: reads words.
        features: compares looks.
        effort: how hard to look.

    Returns:
        `segments`: `start` and `end` in frames, half-open, `start_s` and `end_s` in seconds at `fps`, `score` (the
        mean); `scores` of all frames, 0-1 (words: how well the best passage matches; example: 0 for what the example's
        own surroundings reach, 1 for the example); `method`: `ocr` or `features`; `threshold` and `fps` as used; for
        words `read`: the frames that were read (others look the same, or lie between two of them).

    Raises:
        InvalidOperation: a query of another kind, an example outside of its frame, frames of different sizes.
        ServingError: a model did not answer.
    """
    wanted = parse(LocalizeArguments, arguments, "TEMPORAL_LOCALIZE")
    result: dict[str, Any] = {}
    effort = Effort() if effort is None else effort
    if isinstance(wanted.query, str):
        if not any(letter.isalnum() for letter in wanted.query):
            raise InvalidOperation("`query` of TEMPORAL_LOCALIZE has no letter or digit to look for.")
        method, threshold = "ocr", WORDS if wanted.threshold is None else wanted.threshold
        scores, result["read"] = word_scores(frames, wanted.query, ocr, STAY * threshold, effort)
    else:
        size = same_size(frames, "TEMPORAL_LOCALIZE")
        at = index if wanted.query.frame is None else wanted.query.frame
        if at >= len(frames):
            raise InvalidOperation(f"`frame` {at} of the example is out of range: there are {len(frames)} frames.")
        box = clipped(wanted.query.bbox, size, wanted.normalized, "Box")
        method, threshold = "features", EXAMPLE if wanted.threshold is None else wanted.threshold
        scores = example_scores(frames, at, box, features, STAY * threshold, effort)
    found = segments(scores, threshold, wanted.fps)
    shown = [round(score, 4) for score in scores]
    return {"segments": found, "scores": shown, "method": method, "threshold": threshold, "fps": wanted.fps, **result}
