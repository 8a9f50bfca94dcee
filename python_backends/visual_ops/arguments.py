"""Arguments of the operations as typed models, and the texts that say what was wrong with them.

Coordinates are pixels of the original image, boxes `[x1, y1, x2, y2]` half-open; with `"normalized": true`
they are shares of its width and height in 0-1.
"""

from __future__ import annotations

import math
import reprlib
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pixelis.errors import InvalidOperation

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Corners = tuple[Number, Number, Number, Number]
Size = tuple[int, int]
"""(width, height) in pixels."""
Region = tuple[int, int, int, int]
"""`(x1, y1, x2, y2)`, half-open whole pixels inside the image, never empty."""

MAX_TARGET = 4096

_HINTS = {
    "region": "four finite numbers [x1, y1, x2, y2] in pixels of the original image",
    "bbox": "four finite numbers [x1, y1, x2, y2] in pixels of the original image",
    "center": "two finite numbers [x, y] in pixels of the original image",
    "zoom_factor": "a finite number greater than 0",
    "target_size": f"two whole numbers [width, height] from 1 to {MAX_TARGET}",
    "normalized": "true or false",
    "return_boxes": "true or false",
    "return_words": "true or false",
    "point": "two finite numbers [x, y] in pixels of the original image",
    "threshold": "a number from 0 to 1",
    "init_bbox": "four finite numbers [x1, y1, x2, y2] in pixels of the original image",
    "init_mask": 'a COCO run-length mask {"size": [height, width], "counts": ...}',
    "fps": "frames a second, more than 0 and at most 240",
    "query": 'words to be read in the frames, or an example {"bbox": [x1, y1, x2, y2], "frame": number}',
    "mask": 'a COCO run-length mask {"size": [height, width], "counts": ...}',
}


class Arguments(BaseModel):
    """What every operation accepts."""

    model_config = ConfigDict(extra="forbid")

    normalized: bool = Field(False, strict=True)


class ZoomInArguments(Arguments):
    """A region, or a centre with a zoom factor."""

    region: Corners | None = None
    center: tuple[Number, Number] | None = None
    zoom_factor: Number | None = Field(None, gt=0)
    target_size: (
        tuple[
            Annotated[int, Field(ge=1, le=MAX_TARGET, strict=True)],
            Annotated[int, Field(ge=1, le=MAX_TARGET, strict=True)],
        ]
        | None
    ) = None


class ReadTextArguments(Arguments):
    """Where to read; the whole image by default."""

    region: Corners | None = None
    return_boxes: bool = Field(True, strict=True)
    return_words: bool = Field(False, strict=True)


Side = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]


class Rle(BaseModel):
    """A COCO run-length mask: column-major runs of 0 and 1, as numbers or in COCO's compressed text."""

    model_config = ConfigDict(extra="forbid")

    size: tuple[Side, Side]
    counts: list[Annotated[int, Field(ge=0, strict=True)]] | str


class GetPropertiesArguments(Arguments):
    """One object: its mask, or a box around it."""

    mask: Rle | None = None
    bbox: Corners | None = None


class SegmentArguments(Arguments):
    """A point on the object; a higher threshold keeps less."""

    point: tuple[Number, Number]
    threshold: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.5


Fps = Annotated[float, Field(gt=0, le=240, strict=True, allow_inf_nan=False)]


class TrackArguments(Arguments):
    """An object in the first frame: a box around it, or its mask."""

    init_bbox: Corners | None = None
    init_mask: Rle | None = None
    fps: Fps = 1.0


class Example(BaseModel):
    """What an object or a place looks like: a box in one of the frames (default: the one that the call is about)."""

    model_config = ConfigDict(extra="forbid")

    bbox: Corners
    frame: Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)] | None = None


class LocalizeArguments(Arguments):
    """What to look for in time, and from which score on it is there."""

    query: Annotated[str, Field(min_length=1, max_length=200)] | Example
    threshold: Annotated[float, Field(ge=0, le=1, strict=True)] | None = None
    fps: Fps = 1.0


_BRIEF = reprlib.Repr()
"""Says the beginning of what may be megabytes."""
_BRIEF.maxstring = _BRIEF.maxother = 78
_BRIEF.maxlist = _BRIEF.maxtuple = 8

A = TypeVar("A", bound=Arguments)


def parse(model: type[A], arguments: dict[str, Any], operation: str) -> A:
    """`arguments` as `model`.

    Raises:
        InvalidOperation: names the first wrong argument and says what it may be.
    """
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        first = error.errors()[0]
    known = ", ".join(f"`{name}`" for name in model.model_fields)
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden" and name not in model.model_fields:
        raise InvalidOperation(f"{operation} has no argument `{name[:80]}`.", mend=f"It takes {known}.")
    raise InvalidOperation(
        f"`{name}` of {operation} must be {_HINTS.get(name, first['msg'])}; got {_short(arguments.get(name))}."
    )


def corners(box: Corners, size: Size, normalized: bool, name: str = "Region") -> Corners:
    """`box` in pixels, in order.

    Raises:
        InvalidOperation: reversed or empty, or not within 0-1 where it says that it is normalised.
    """
    if normalized:
        if not all(0.0 <= value <= 1.0 for value in box):
            raise InvalidOperation(f"{name} {_text(box)} is not within 0-1.", mend="Leave `normalized` out for pixels.")
        box = (box[0] * size[0], box[1] * size[1], box[2] * size[0], box[3] * size[1])
    x1, y1, x2, y2 = box
    if x1 >= x2 or y1 >= y2:
        raise InvalidOperation(
            f"{name} {_text(box)} is empty.", mend="It is [x1, y1, x2, y2] with x1 < x2 and y1 < y2."
        )
    return box


def clipped(box: Corners, size: Size, normalized: bool, name: str = "Region") -> Region:
    """The whole pixels of `box` that are inside the image.

    Raises:
        InvalidOperation: none is.
    """
    x1, y1, x2, y2 = corners(box, size, normalized, name)
    left, top = max(math.floor(x1), 0), max(math.floor(y1), 0)
    right, bottom = min(math.ceil(x2), size[0]), min(math.ceil(y2), size[1])
    if left >= right or top >= bottom:
        raise InvalidOperation(
            f"{name} {_text((x1, y1, x2, y2))} does not overlap the image bounds ({size[0]}x{size[1]})."
        )
    return left, top, right, bottom


def point(at: tuple[float, float], size: Size, normalized: bool) -> tuple[float, float]:
    """`at` in pixels, inside the image.

    Raises:
        InvalidOperation: outside, `Point (150, 60) is outside image bounds (100x100)`.
    """
    if normalized:
        if not all(0.0 <= value <= 1.0 for value in at):
            raise InvalidOperation(
                f"Point ({_plain(at)}) is not within 0-1.", mend="Leave `normalized` out for pixels."
            )
        at = (min(at[0] * size[0], size[0] - 0.5), min(at[1] * size[1], size[1] - 0.5))
    if not (0 <= at[0] < size[0] and 0 <= at[1] < size[1]):
        raise InvalidOperation(f"Point ({_plain(at)}) is outside image bounds ({size[0]}x{size[1]})")
    return at


def _plain(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.15g}" for value in values)


def _text(box: tuple[float, ...]) -> str:
    return f"[{_plain(box)}]"


def _short(value: Any) -> str:
    text = _BRIEF.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
