"""How right a result is, 0-1, by labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from perf.ops.labels.track_clips import TrackClip
from perf.ops.track_quality import SEEN, overlap
from pixelis.rle import unpack
from pixelis.schema import OperationResult

Judge = Callable[[OperationResult], float]
NEAR = 2
"""Frames by which a boundary may be off."""


def lines_read(wanted: Sequence[str]) -> Judge:
    """Share of the lines that were read exactly, blanks apart: each is looked for in the whole text."""

    def judge(result: OperationResult) -> float:
        text = _squeezed(result.result.get("text", ""))
        return float(np.mean([_squeezed(line) in text for line in wanted]))

    return judge


def mask_overlap(truth: NDArray[np.bool_]) -> Judge:
    """Intersection over union."""

    def judge(result: OperationResult) -> float:
        found = result.result.get("mask")
        if found is None:
            return 0.0
        counts = unpack(found["counts"])
        mask = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(truth.shape, order="F")
        return float((mask & truth).sum() / (mask | truth).sum())

    return judge


def region_shown(region: Sequence[int]) -> Judge:
    """Whether that is what is shown."""
    return lambda result: float(result.result.get("region") == list(region))


def track_overlap(clip: TrackClip) -> Judge:
    """Mean intersection over union, over the frames in which it is to be seen."""

    def judge(result: OperationResult) -> float:
        boxes = result.result.get("boxes", [None] * len(clip.frames))
        seen = [i for i, share in enumerate(clip.shown) if i and share >= SEEN]
        return float(np.mean([overlap(boxes[i], clip.boxes[i]) if boxes[i] else 0.0 for i in seen]))

    return judge


def boundaries(spans: Sequence[tuple[int, int]]) -> Judge:
    """Share of the boundaries, true and found together, that have one of the other kind within `NEAR` frames."""
    true = [edge for span in spans for edge in span]

    def judge(result: OperationResult) -> float:
        found = [edge for span in result.result.get("segments", []) for edge in (span["start"], span["end"])]
        met = [_near(edge, found) for edge in true] + [_near(edge, true) for edge in found]
        return float(np.mean(met))

    return judge


def _near(edge: int, others: Sequence[int]) -> bool:
    return any(abs(edge - other) <= NEAR for other in others)


def _squeezed(text: str) -> str:
    return "".join(text.split())
