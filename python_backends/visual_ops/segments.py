"""Scores by frame to spans of frames: hysteresis, short gaps closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

STAY = 0.9
"""Share of the threshold at which a span that has begun goes on."""
GAP_SECONDS = 0.3
"""Gaps up to this long, and of a single frame, are closed."""


def segments(scores: Sequence[float], threshold: float, fps: float) -> list[dict[str, Any]]:
    """Spans that reach `threshold` somewhere and never fall under `STAY` of it, `[start, end)`.

    Args:
        scores: of every frame.
        threshold: 0-1; at 0 every frame counts.
        fps: frames a second.

    Returns:
        `start`, `end`, `start_s`, `end_s`, and `score`, the mean over the span.
    """
    spans: list[list[int]] = []
    for start, end in _runs(scores, STAY * threshold):
        if max(scores[start:end]) < threshold:
            continue
        if spans and start - spans[-1][1] <= max(1, round(GAP_SECONDS * fps)):
            spans[-1][1] = end
        else:
            spans.append([start, end])
    return [
        {
            "start": start,
            "end": end,
            "start_s": round(start / fps, 3),
            "end_s": round(end / fps, 3),
            "score": round(sum(scores[start:end]) / (end - start), 4),
        }
        for start, end in spans
    ]


def _runs(scores: Sequence[float], least: float) -> list[tuple[int, int]]:
    """Longest runs of scores that are `least` or more."""
    runs: list[tuple[int, int]] = []
    for i, score in enumerate(scores):
        if score < least:
            continue
        if runs and runs[-1][1] == i:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    return runs
