"""One spelling for operations that ask for the same.

A region in shares of the image, in fractions of pixels, or beyond the border, and one in the whole pixels that it
covers are the same question; so is a default that is written out. Equal spellings are computed once and share a
place in the cache.
"""

from __future__ import annotations

from typing import Any

from pixelis.errors import RequestError
from pixelis.schema import Operation, OperationName
from python_backends.visual_ops.arguments import (
    Arguments,
    GetPropertiesArguments,
    LocalizeArguments,
    ReadTextArguments,
    SegmentArguments,
    Size,
    TrackArguments,
    ZoomInArguments,
    clipped,
    parse,
    point,
)

OVER_TIME = frozenset({OperationName.TRACK_OBJECT, OperationName.TEMPORAL_LOCALIZE})
"""Operations that look at all the images that are sent."""

_MODELS: dict[OperationName, type[Arguments]] = {
    OperationName.ZOOM_IN: ZoomInArguments,
    OperationName.SEGMENT_OBJECT_AT: SegmentArguments,
    OperationName.READ_TEXT: ReadTextArguments,
    OperationName.GET_PROPERTIES: GetPropertiesArguments,
    OperationName.TRACK_OBJECT: TrackArguments,
    OperationName.TEMPORAL_LOCALIZE: LocalizeArguments,
}


def canonical(operation: Operation, size: Size) -> Operation:
    """The same operation in its plain form, whose result is the same.

    Args:
        operation: as it was asked.
        size: (width, height) of the image that it is about.

    Returns:
        Coordinates in pixels, regions clipped to whole ones, defaults written out. What is malformed is left as it is:
        whoever runs it says what is wrong.
    """
    try:
        wanted = parse(_MODELS[operation.operation], operation.arguments, operation.operation.value)
        return operation.model_copy(update={"arguments": _plain(wanted, size)})
    except RequestError:
        return operation


def _plain(wanted: Arguments, size: Size) -> dict[str, Any]:
    plain = wanted.model_dump(mode="json", exclude_none=True, exclude={"normalized"})
    normalized = wanted.normalized
    if isinstance(wanted, ReadTextArguments):
        plain["region"] = list(clipped(wanted.region, size, normalized) if wanted.region else (0, 0, *size))
    elif isinstance(wanted, SegmentArguments):
        plain["point"] = list(point(wanted.point, size, normalized))
    elif isinstance(wanted, GetPropertiesArguments) and wanted.bbox is not None:
        plain["bbox"] = list(clipped(wanted.bbox, size, normalized, "Box"))
    elif isinstance(wanted, TrackArguments) and wanted.init_bbox is not None:
        plain["init_bbox"] = list(clipped(wanted.init_bbox, size, normalized, "Box"))
    elif isinstance(wanted, LocalizeArguments) and not isinstance(wanted.query, str):
        plain["query"]["bbox"] = list(clipped(wanted.query.bbox, size, normalized, "Box"))
    elif isinstance(wanted, ZoomInArguments) and normalized:
        plain["normalized"] = True  # its region is shifted, not clipped: left as it was asked
    return dict(sorted(plain.items()))
