"""Runs an operation: arguments in, a result or a typed reason out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pixelis.errors import InvalidOperation, RequestError
from pixelis.operations_config import FULL, Ladder, Operations
from pixelis.schema import Operation, OperationName, OperationResult
from python_backends.images import Pixels
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.features import Features
from python_backends.visual_ops.get_properties import get_properties
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.read_text import read_text
from python_backends.visual_ops.segment_object_at import segment_object_at
from python_backends.visual_ops.segmenter import Segmenter, no_segmenter
from python_backends.visual_ops.temporal_localize import temporal_localize
from python_backends.visual_ops.track_object import track_object
from python_backends.visual_ops.views import Memory
from python_backends.visual_ops.zoom_in import zoom_in


@dataclass(frozen=True)
class Work:
    """What an operation has to work with.

    Attributes:
        images: decoded originals, `[height, width, 3]` RGB uint8.
        index: the image that is meant, or the first frame.
        arguments: as given.
        ocr: text detection and recognition.
        features: the image encoder.
        effort: how hard it may look.
        memory: features of views that were looked at before, and embeddings of images.
        segmenter: the configured one, asked for when it is needed; may give none.
    """

    images: Sequence[Pixels]
    index: int
    arguments: dict[str, Any]
    ocr: Ocr
    features: Features
    effort: Effort = field(default_factory=Effort)
    memory: Memory | None = None
    segmenter: Callable[[], Segmenter | None] = no_segmenter

    @property
    def image(self) -> Pixels:
        """The image that is meant."""
        return self.images[self.index]


OPERATIONS: dict[OperationName, Callable[[Work], dict[str, Any]]] = {
    OperationName.ZOOM_IN: lambda work: zoom_in(work.image, work.arguments),
    OperationName.SEGMENT_OBJECT_AT: lambda work: segment_object_at(
        work.image, work.arguments, work.features, work.effort, work.memory, work.segmenter()
    ),
    OperationName.READ_TEXT: lambda work: read_text(work.image, work.arguments, work.ocr, work.effort),
    OperationName.GET_PROPERTIES: lambda work: get_properties(work.image, work.arguments),
    OperationName.TRACK_OBJECT: lambda work: track_object(work.images, work.index, work.arguments, work.effort),
    OperationName.TEMPORAL_LOCALIZE: lambda work: temporal_localize(
        work.images, work.index, work.arguments, work.ocr, work.features, work.effort
    ),
}
"""All of them, by name."""


def ladder_of(operation: OperationName, operations: Operations) -> Ladder:
    """How an operation looks as configured; in full where it takes no looks."""
    ladder = getattr(operations, operation.value.lower(), FULL)
    assert isinstance(ladder, Ladder)
    return ladder


def operate(
    images: Sequence[Pixels],
    operation: Operation,
    ocr: Ocr,
    features: Features,
    ladder: Ladder = FULL,
    memory: Memory | None = None,
    segmenter: Callable[[], Segmenter | None] = no_segmenter,
) -> OperationResult:
    """Run `operation` on the image or frames that it names.

    Args:
        images: decoded originals, `[height, width, 3]` RGB uint8.
        operation: its name, arguments and image index.
        ocr: text detection and recognition.
        features: the image encoder's features of a picture's parts.
        ladder: at which resolutions to look; by default at the full one, with nothing left out.
        memory: features of views that were looked at before, and embeddings of images.
        segmenter: the configured one, if there is any.

    Returns:
        The result. What the caller did wrong is its `error`, with an empty `result`.

    Raises:
        ServingError: a model that the operation needs did not answer; the request may be retried.
    """
    started = time.perf_counter()
    result: dict[str, Any] = {}
    error: str | None = None
    effort = Effort(ladder)
    try:
        if operation.image_index >= len(images):
            raise InvalidOperation(
                f"image_index {operation.image_index} is out of range: there are {len(images)} images."
            )
        work = Work(images, operation.image_index, operation.arguments, ocr, features, effort, memory, segmenter)
        result = OPERATIONS[operation.operation](work)
    except RequestError as refused:
        error = str(refused)
    elapsed = (time.perf_counter() - started) * 1e3
    return OperationResult(
        operation=operation.operation,
        result=result,
        error=error,
        elapsed_ms=elapsed,
        resolution=effort.resolution,
        looks=effort.looks,
        skipped=effort.skipped,
    )
