"""The policy's coordinates <-> pixels of the original images.

The policy sees views: an original, or a region of one, stretched to the checkpoint's view size. It writes
coordinates of a view in its dialect's space; operations take pixels of the original.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pixelis.schema import Box
from python_backends.pipeline.dialects import Space

__all__ = ["Frame", "Point", "Space", "arguments_to_original", "numbers", "result_to_view"]

Point = tuple[float, float]

_BOXES = frozenset({"region", "bbox", "init_bbox", "box"})
_TRACKS = frozenset({"boxes"})
"""Boxes of an object, frame by frame."""
_POINTS = frozenset({"point", "center", "centroid"})


@dataclass(frozen=True)
class Frame:
    """One image of the conversation.

    Attributes:
        image_index: which of the request's images it shows.
        region: the part of it, in pixels of the original.
        view: (width, height) that the policy sees.
        whole: whether the region is the whole image.
        patches: temporal patches of a video that are one image together, of which it shows the first frame.
    """

    image_index: int
    region: Box
    view: tuple[int, int]
    whole: bool = True
    patches: int = 1

    def units(self, space: Space) -> Point:
        """Extent of the view, (x, y), in the units of `space`."""
        if space == "view_pixels":
            return float(self.view[0]), float(self.view[1])
        return (1000.0, 1000.0) if space == "relative_1000" else (1.0, 1.0)

    def to_original(self, point: Point, space: Space) -> Point:
        """A point of the view as a point of the original image, to a hundredth of a pixel."""
        width, height = self.units(space)
        x1, y1, x2, y2 = self.region
        return _between(x1, x2, point[0] / width), _between(y1, y2, point[1] / height)

    def to_view(self, point: Point, space: Space) -> Point:
        """A point of the original image in the policy's space: whole numbers, or thousandths in `relative_1`."""
        width, height = self.units(space)
        x1, y1, x2, y2 = self.region
        digits = 3 if space == "relative_1" else None
        x = (point[0] - x1) / (x2 - x1) * width
        y = (point[1] - y1) / (y2 - y1) * height
        return round(x, digits), round(y, digits)


def _between(near: float, far: float, share: float) -> float:
    """What lies at `share` of the way, to a hundredth; what is before the far edge stays before it."""
    at = round(near + share * (far - near), 2)
    return min(at, round(far - 0.01, 2)) if share < 1 else at


def arguments_to_original(arguments: dict[str, Any], frame: Frame, space: Space) -> dict[str, Any]:
    """A call's arguments with every box and point in pixels of the original.

    `"normalized": true` says that the coordinates are shares of the view, whatever the space. What is not
    two or four finite numbers is left as it is: the operation itself says what is wrong with it.
    """
    mapped = dict(arguments)
    if mapped.get("normalized") is True:
        del mapped["normalized"]
        space = "relative_1"
    for name, value in mapped.items():
        if name in _BOXES | _POINTS:
            mapped[name] = _map(value, lambda point: frame.to_original(point, space))
        elif name == "query" and isinstance(value, dict) and "bbox" in value:  # an example, in the same image
            mapped[name] = {**value, "bbox": _map(value["bbox"], lambda point: frame.to_original(point, space))}
    return mapped


def result_to_view(result: dict[str, Any], frame: Frame, space: Space) -> dict[str, Any]:
    """A result with every box and point, at any depth, in the space that the policy writes."""
    mapped: dict[str, Any] = _walk(result, lambda point: frame.to_view(point, space))
    return mapped


def _walk(value: Any, move: Callable[[Point], Point]) -> Any:
    if isinstance(value, dict):
        return {name: _moved(name, item, move) for name, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, move) for item in value]
    return value


def _moved(name: str, item: Any, move: Callable[[Point], Point]) -> Any:
    if name in _BOXES | _POINTS:
        return _map(item, move)
    if name in _TRACKS and isinstance(item, list):
        return [_map(box, move) for box in item]
    return _walk(item, move)


def _map(value: Any, move: Callable[[Point], Point]) -> Any:
    if not numbers(value) or len(value) not in (2, 4):
        return value
    moved = [move((value[i], value[i + 1])) for i in range(0, len(value), 2)]
    return [coordinate for point in moved for coordinate in point]


def numbers(value: Any) -> bool:
    """Whether `value` is a sequence of finite numbers of a size that a coordinate can have."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(
            isinstance(item, (int, float)) and not isinstance(item, bool) and abs(item) < 1e9 and math.isfinite(item)
            for item in value
        )
    )
