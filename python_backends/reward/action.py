"""A deterministic vector of an action, as the dynamics network takes it.

    0..5    operation, one-hot, in the order of `schema.OperationName` (all zero for a thought or an answer)
    6..9    region x1, y1, x2, y2 as shares of the image's width and height
    10..11  point x, y as shares of the image's width and height
    12, 13  1 where there is a region, 1 where there is a point
    14      image index / 64 (the limit on frames)
    15      magnification: log2 of the zoom factor, or of target size / image size (longer sides), / 8

Arguments that an operation would refuse are left out rather than refused here: the action was taken, and
its observation said what was wrong.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Action, OperationName

WIDTH = 16
_OPERATIONS = tuple(OperationName)
_REGION_NAMES = ("region", "bbox", "init_bbox")
_POINT_NAMES = ("point", "center")
_FRAMES = 64
_OCTAVES = 8.0


def action_embedding(action: Action, size: tuple[int, int]) -> NDArray[np.float32]:
    """The embedding of `action` on an image of `size`.

    Args:
        action: a step of a trajectory, its coordinates in pixels of the original image (shares of it with
            `"normalized": true`).
        size: (width, height) of that image.

    Returns:
        Float32 `[16]`, every element in [-1, 1].
    """
    out = np.zeros(WIDTH, np.float32)
    if action.operation is not None:
        out[_OPERATIONS.index(action.operation)] = 1.0
    arguments = action.arguments
    scale = (1.0, 1.0) if arguments.get("normalized") is True else (float(max(size[0], 1)), float(max(size[1], 1)))
    region = _first(arguments, _REGION_NAMES, 4)
    if region is not None:
        out[6:10] = [_share(value, scale[i % 2]) for i, value in enumerate(region)]
        out[12] = 1.0
    point = _first(arguments, _POINT_NAMES, 2)
    if point is not None:
        out[10:12] = [_share(value, scale[i]) for i, value in enumerate(point)]
        out[13] = 1.0
    out[14] = min(image_index(action), _FRAMES) / _FRAMES
    out[15] = _magnification(arguments, size)
    return out


def image_index(action: Action) -> int:
    """Which of the request's images `action` looked at; 0 where it does not say."""
    index = action.arguments.get("image_index", 0)
    return index if isinstance(index, int) and not isinstance(index, bool) and index >= 0 else 0


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _first(arguments: dict[str, Any], names: tuple[str, ...], length: int) -> list[float] | None:
    for name in names:
        value = arguments.get(name)
        if isinstance(value, (list, tuple)) and len(value) == length:
            numbers = [number for number in map(_number, value) if number is not None]
            if len(numbers) == length:
                return numbers
    return None


def _share(value: float, whole: float) -> float:
    return min(max(value / whole, 0.0), 1.0)


def _magnification(arguments: dict[str, Any], size: tuple[int, int]) -> float:
    factor = _number(arguments.get("zoom_factor"))
    if factor is None:
        target = _longer(arguments.get("target_size"))
        factor = None if target is None else target / max(*size, 1)
    if factor is None or factor <= 0:
        return 0.0
    return min(max(math.log2(factor) / _OCTAVES, -1.0), 1.0)


def _longer(target: Any) -> float | None:
    sides = target if isinstance(target, (list, tuple)) else [target]
    numbers = [number for number in map(_number, sides) if number is not None]
    return max(numbers) if numbers else None
