"""Runs an operation: arguments in, a result or a typed reason out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from pixelis.errors import InvalidOperation, RequestError
from pixelis.schema import Operation, OperationName, OperationResult
from python_backends.images import Pixels
from python_backends.visual_ops.get_properties import get_properties
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.read_text import read_text
from python_backends.visual_ops.zoom_in import zoom_in

Run = Callable[[Pixels, dict[str, Any], Ocr], dict[str, Any]]

OPERATIONS: dict[OperationName, Run] = {
    OperationName.ZOOM_IN: lambda image, arguments, ocr: zoom_in(image, arguments),
    OperationName.READ_TEXT: read_text,
    OperationName.GET_PROPERTIES: lambda image, arguments, ocr: get_properties(image, arguments),
}
"""What is available, by name."""


def operate(images: Sequence[Pixels], operation: Operation, ocr: Ocr) -> OperationResult:
    """Run `operation` on the image that it names.

    Args:
        images: decoded originals, `[height, width, 3]` RGB uint8.
        operation: its name, arguments and image index.
        ocr: text detection and recognition.

    Returns:
        The result. What the caller did wrong is its `error`, with an empty `result`.

    Raises:
        ServingError: a model that the operation needs did not answer; the request may be retried.
    """
    started = time.perf_counter()
    result: dict[str, Any] = {}
    error: str | None = None
    try:
        result = _run(images, operation, ocr)
    except RequestError as refused:
        error = str(refused)
    elapsed = (time.perf_counter() - started) * 1e3
    return OperationResult(operation=operation.operation, result=result, error=error, elapsed_ms=elapsed)


def _run(images: Sequence[Pixels], operation: Operation, ocr: Ocr) -> dict[str, Any]:
    run = OPERATIONS.get(operation.operation)
    if run is None:
        known = ", ".join(name.value for name in OPERATIONS)
        raise InvalidOperation(f"{operation.operation.value} is not available yet.", mend=f"Available are {known}.")
    if operation.image_index >= len(images):
        raise InvalidOperation(f"image_index {operation.image_index} is out of range: there are {len(images)} images.")
    return run(images[operation.image_index], operation.arguments, ocr)
