"""How sure an operation is of what it found: what ends a group of operations."""

from __future__ import annotations

from pixelis.schema import OperationName, OperationResult


def certainty(result: OperationResult) -> float | None:
    """0-1; nothing for an operation that measures and does not judge, or that found nothing.

    READ_TEXT and SEGMENT_OBJECT_AT: their confidence. TRACK_OBJECT: the lowest confidence of a sight.
    TEMPORAL_LOCALIZE: the best span's score.
    """
    found = result.result
    if result.error is not None:
        return None
    if result.operation in (OperationName.READ_TEXT, OperationName.SEGMENT_OBJECT_AT):
        confidence = float(found["confidence"])
        return confidence if confidence > 0 else None
    if result.operation is OperationName.TRACK_OBJECT:
        sights = [float(value) for value in found["confidences"] if value > 0]
        return min(sights) if sights else None
    if result.operation is OperationName.TEMPORAL_LOCALIZE:
        return max((float(span["score"]) for span in found["segments"]), default=None)
    return None
