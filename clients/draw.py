"""A picture with what was looked at drawn on it."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from clients import masks
from clients.masks import Mask
from pixelis.errors import InvalidImage, InvalidRequest
from pixelis.schema import Action, OperationName, OperationResult, PipelineResult

COLOURS = {
    OperationName.ZOOM_IN: "#e69f00",
    OperationName.SEGMENT_OBJECT_AT: "#009e73",
    OperationName.READ_TEXT: "#0072b2",
    OperationName.GET_PROPERTIES: "#cc79a7",
    OperationName.TRACK_OBJECT: "#d55e00",
    OperationName.TEMPORAL_LOCALIZE: "#56b4e9",
}
"""One colour an operation, from the palette of Okabe and Ito, which colour-blind readers can tell apart."""

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_BOXES = ("region", "bbox", "init_bbox")
_POINTS = ("point", "center")


@dataclass(frozen=True)
class Mark:
    """One thing to draw, in pixels of the original picture: a box, a point, a path, or a mask of its size."""

    label: str
    colour: str
    box: tuple[float, float, float, float] | None = None
    point: tuple[float, float] | None = None
    fine: bool = False
    path: tuple[tuple[float, float], ...] = ()
    mask: Mask | None = None


def marks(trajectory: Sequence[Action], size: tuple[int, int], image_index: int = 0) -> list[Mark]:
    """What the visual operations of a trajectory looked at in one image; those that failed found nothing.

    Args:
        trajectory: steps, numbered from 1 in the order of the operations.
        size: (width, height) of the original image.
        image_index: which of the request's images.
    """
    operations = [a for a in trajectory if a.type == "VISUAL_OPERATION" and a.operation is not None]
    return [
        mark
        for step, action in enumerate(operations, 1)
        if action.error is None and action.arguments.get("image_index", 0) == image_index
        for mark in _marks(step, action, size)
    ]


def annotate(picture: bytes | Image.Image, found: Sequence[Mark], caption: str = "") -> Image.Image:
    """A copy of `picture`, upright, with marks on it and a caption under it.

    Raises:
        InvalidImage: the bytes are not a picture.
    """
    image = ImageOps.exif_transpose(_opened(picture)).convert("RGB")
    width = max(2, round(max(image.size) / 250))
    font = _font(max(12, round(max(image.size) / 45)))
    for mark in found:
        if mark.mask is not None:
            image = _tinted(image, mark.mask, mark.colour)
    draw = ImageDraw.Draw(image)
    for mark in found:
        _draw(draw, mark, 1 if mark.fine else width, font, image.size)
    return _captioned(image, caption, font) if caption else image


def answered(picture: bytes | Image.Image, result: PipelineResult, image_index: int = 0) -> Image.Image:
    """The picture of an answer: its trajectory's regions, and the answer as the caption."""
    image = _opened(picture)
    found = marks(result.trajectory, ImageOps.exif_transpose(image).size, image_index)
    return annotate(image, found, f"{result.answer}  ({result.confidence:.2f})")


def operated(picture: bytes | Image.Image, arguments: dict[str, Any], result: OperationResult) -> Image.Image:
    """The picture of one operation's result."""
    image = _opened(picture)
    action = Action(
        type="VISUAL_OPERATION",
        operation=result.operation,
        arguments=arguments,
        result=result.result,
        error=result.error,
    )
    return annotate(image, list(_marks(1, action, ImageOps.exif_transpose(image).size)), result.error or "")


def kind(path: Path) -> str:
    """The format that a path's suffix asks for. Raises `InvalidRequest` where it asks for none."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise InvalidRequest(f"{path} has no suffix of a picture.", mend=f"Use one of {', '.join(FORMATS)}.")
    return found


def save(image: Image.Image, path: Path) -> None:
    """Write a PNG or JPEG, as the suffix says.

    Raises:
        InvalidRequest: another suffix, or a place that cannot be written.
    """
    chosen = kind(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, chosen)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror or error}.", mend="Choose another.") from None


def _opened(picture: bytes | Image.Image) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture
    try:
        image = Image.open(io.BytesIO(picture))
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidImage(f"The picture cannot be read: {error}.") from None
    return image


def _tinted(image: Image.Image, mask: Mask, colour: str) -> Image.Image:
    """The picture with the mask's pixels half in `colour`; a mask of another size is left out."""
    if mask.shape != (image.height, image.width):
        return image
    pixels = np.array(image)
    pixels[mask] = (pixels[mask] // 2) + (np.array(ImageColor.getrgb(colour)[:3], np.uint8) // 2)
    return Image.fromarray(pixels)


def _track(action: Action, label: str, colour: str) -> Iterator[Mark]:
    """Where a followed object was first and last, and its way between."""
    boxes = action.result.get("boxes")
    listed = boxes if isinstance(boxes, list) else []
    found = [box for entry in listed if (box := _numbers({"box": entry}, ("box",), 4)) is not None]
    if not found:
        return
    side = action.result.get("left_by")
    first, last = ((box[0], box[1], box[2], box[3]) for box in (found[0], found[-1]))
    yield Mark(f"{label} leaves {side}" if side else label, colour, box=first)
    yield Mark("", colour, box=last, fine=True)
    yield Mark("", colour, path=tuple(((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in found))


def _marks(step: int, action: Action, size: tuple[int, int]) -> Iterator[Mark]:
    assert action.operation is not None
    colour, label = COLOURS[action.operation], f"{step} {action.operation.value}"
    scale = size if action.arguments.get("normalized") is True else (1, 1)
    if action.operation is OperationName.TRACK_OBJECT and action.result.get("boxes"):
        yield from _track(action, label, colour)
        return
    mask = masks.decode(action.result.get("mask"), size)
    if mask is not None:
        yield Mark("", colour, mask=mask)
    box = _numbers(action.result, _BOXES, 4) or _numbers(action.arguments, _BOXES, 4, scale)
    point = _numbers(action.arguments, _POINTS, 2, scale)
    if box is not None:
        yield Mark(label, colour, box=(box[0], box[1], box[2], box[3]))
    if point is not None:
        yield Mark("" if box is not None else label, colour, point=(point[0], point[1]))
    lines = action.result.get("lines")
    for line in lines if isinstance(lines, list) else []:
        inner = _numbers(line, ("bbox", "box"), 4) if isinstance(line, dict) else None
        if inner is not None:
            yield Mark("", colour, box=(inner[0], inner[1], inner[2], inner[3]), fine=True)


def _numbers(
    fields: dict[str, Any], names: tuple[str, ...], length: int, scale: tuple[int, int] = (1, 1)
) -> list[float] | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, (list, tuple)) and len(value) == length and all(map(_is_number, value)):
            return [float(v) * scale[i % 2] for i, v in enumerate(value)]
    return None


def _is_number(value: Any) -> bool:
    """Whether it is a finite number that a float can be."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _near(value: float, side: int) -> float:
    """A coordinate not farther away than a whole picture: Pillow draws every pixel of a line, those outside too."""
    return min(max(value, -side), 2 * side)


def _draw(draw: ImageDraw.ImageDraw, mark: Mark, width: int, font: Any, size: tuple[int, int]) -> None:
    if mark.box is not None:
        x1, y1, x2, y2 = (_near(v, size[i % 2]) for i, v in enumerate(mark.box))  # half-open: the last pixel is before
        corners = (min(x1, x2 - 1), min(y1, y2 - 1), max(x1, x2 - 1), max(y1, y2 - 1))
        draw.rectangle(corners, outline=mark.colour, width=width)
        at = (corners[0], corners[1])
    elif mark.path:
        path = [(_near(x, size[0]), _near(y, size[1])) for x, y in mark.path]
        draw.line(path, fill=mark.colour, width=max(1, width // 2))
        for x, y in path:
            draw.ellipse((x - width, y - width, x + width, y + width), fill=mark.colour)
        return
    elif mark.point is not None:
        x, y = _near(mark.point[0], size[0]), _near(mark.point[1], size[1])
        r = 3 * width
        draw.ellipse((x - r, y - r, x + r, y + r), outline=mark.colour, width=width)
        at = (x + r, y - r)
    else:
        return
    if mark.label:
        _label(draw, mark, at, font, size)


def _label(draw: ImageDraw.ImageDraw, mark: Mark, at: tuple[float, float], font: Any, size: tuple[int, int]) -> None:
    """The label above the mark, moved to stay inside the picture."""
    left, top, right, bottom = draw.textbbox((0, 0), mark.label, font=font)
    x = max(0.0, min(at[0], size[0] - (right - left) - 4))
    y = at[1] - (bottom - top) - 6
    y = y if y >= 0 else at[1]
    draw.rectangle((x, y, x + right - left + 4, y + bottom - top + 6), fill=mark.colour)
    draw.text((x + 2 - left, y + 3 - top), mark.label, fill="white", font=font)


def _captioned(image: Image.Image, caption: str, font: Any) -> Image.Image:
    line = " ".join(caption.split())
    while len(line) > 4 and font.getlength(line) > image.width - 12:
        line = line[:-4].rstrip() + "..."
    height = round(2 * font.size)
    canvas = Image.new("RGB", (image.width, image.height + height), "#202020")
    canvas.paste(image, (0, 0))
    ImageDraw.Draw(canvas).text((6, image.height + height // 4), line, fill="white", font=font)
    return canvas


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
