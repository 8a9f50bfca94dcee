"""Visual operations, and what they find."""

from enum import Enum
from typing import Any, Literal

from pydantic import Field

from pixelis.schema.base import Wire

Box = tuple[float, float, float, float]
"""`[x1, y1, x2, y2]`, half-open, in pixels of the original image."""


class OperationName(str, Enum):
    """The six visual operations."""

    ZOOM_IN = "ZOOM_IN"
    SEGMENT_OBJECT_AT = "SEGMENT_OBJECT_AT"
    READ_TEXT = "READ_TEXT"
    GET_PROPERTIES = "GET_PROPERTIES"
    TRACK_OBJECT = "TRACK_OBJECT"
    TEMPORAL_LOCALIZE = "TEMPORAL_LOCALIZE"


class Operation(Wire):
    """A call of a visual operation. Coordinates are pixels of the original image unless normalised."""

    operation: OperationName
    arguments: dict[str, Any] = Field(default_factory=dict)
    image_index: int = Field(0, ge=0, le=2**31 - 1, description="which of the request's images")
    resolution: Literal["adaptive", "full"] = Field(
        "adaptive", description="full = looked at in full at once, with nothing left out; adaptive = as configured"
    )


class OperationGroup(Wire):
    """Independent operations on the same images: what they share is computed once."""

    operations: list[Operation] = Field(min_length=1, max_length=64)
    enough: float | None = Field(
        None, ge=0, le=1, description="confidence from which on operations that have not begun are left out"
    )


class OperationResult(Wire):
    """What a visual operation found, or the typed reason why it could not."""

    operation: OperationName
    result: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
    elapsed_ms: float = 0.0
    resolution: float = Field(1.0, description="share of the full resolution's sides at which it answered")
    looks: int = Field(0, description="resolutions tried; 0 for what takes no looks")
    skipped: list[str] = Field(default_factory=list, description="what was left out because the answer was certain")


class GroupResult(Wire):
    """What the operations of a group found, in the order in which they were asked for."""

    results: list[OperationResult]
    skipped: list[int] = Field(default_factory=list, description="places of operations that were left out")
