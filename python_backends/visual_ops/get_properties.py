"""GET_PROPERTIES: what an object looks like, all of it measured from its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from pixelis.errors import InvalidOperation
from python_backends.images import Pixels
from python_backends.visual_ops import rle
from python_backends.visual_ops.arguments import GetPropertiesArguments, Size, clipped, parse
from python_backends.visual_ops.colour import Rgb, hsv_of, name_of
from python_backends.visual_ops.foreground import find_foreground
from python_backends.visual_ops.rle import Mask
from python_backends.visual_ops.shape import bounds, position_of, shape_of, size_of
from python_backends.visual_ops.texture import texture_of

COLOUR_SIDE = 96
EROSION = 0.04
"""Rim left out when the colour is measured, as a share of the object's shorter side: edges mix with what is behind."""
DEEP = 0.75
"""Of an object that is all rim, pixels this deep are taken, as a share of the deepest."""


@dataclass(frozen=True)
class Thing:
    """An object: its mask in a crop, where the crop is, and how it was found."""

    mask: Mask
    pixels: Pixels
    origin: tuple[int, int]
    method: str


def get_properties(image: Pixels, arguments: dict[str, Any]) -> dict[str, Any]:
    """Colour, texture, shape, size and position of an object.

    Args:
        image: `[height, width, 3]` RGB.
        arguments: `mask` (COCO RLE of the image's size), or `bbox` in which the object is looked for.

    Returns:
        `color` (`name`, `rgb`, `hsv`), `texture`, `shape`, `size`, `position`, and `foreground`: `mask` as given,
        `contrast`, `grabcut`, or `ellipse` where nothing stood out in the box.

    Raises:
        InvalidOperation: neither or both given, a box outside the image, a mask that does not fit.
    """
    wanted = parse(GetPropertiesArguments, arguments, "GET_PROPERTIES")
    size = (image.shape[1], image.shape[0])
    thing = _thing(image, wanted, size)
    rgb = colour_of(thing.pixels, thing.mask)
    return {
        "color": {"name": name_of(rgb), "rgb": list(rgb), "hsv": list(hsv_of(rgb))},
        "texture": texture_of(thing.pixels, thing.mask),
        "shape": shape_of(thing.mask),
        "size": size_of(thing.mask, size),
        "position": position_of(thing.mask, thing.origin, size),
        "foreground": thing.method,
    }


def _thing(image: Pixels, wanted: GetPropertiesArguments, size: Size) -> Thing:
    if (wanted.mask is None) == (wanted.bbox is None):
        raise InvalidOperation("GET_PROPERTIES takes either `mask` or `bbox`.")
    if wanted.mask is not None:
        mask, origin, method = rle.decode(wanted.mask, size), (0, 0), "mask"
    elif wanted.bbox is not None:
        found = find_foreground(image, clipped(wanted.bbox, size, wanted.normalized, "Box"))
        mask, origin, method = found.mask, found.origin, found.method
    x1, y1, x2, y2 = bounds(mask)
    left, top = origin[0] + x1, origin[1] + y1
    pixels = image[top : top + y2 - y1, left : left + x2 - x1]
    return Thing(mask[y1:y2, x1:x2], pixels, (left, top), method)


def colour_of(pixels: Pixels, mask: Mask) -> Rgb:
    """Median colour of the object without its rim.

    Args:
        pixels: `[height, width, 3]`.
        mask: `[height, width]`, not empty.
    """
    scale = min(1.0, COLOUR_SIDE / max(mask.shape))
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    inside = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    rim = max(1, round(EROSION * min(size)))
    eroded = cv2.erode(
        inside, np.ones((2 * rim + 1, 2 * rim + 1), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    depth = cv2.distanceTransform(cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0), cv2.DIST_L2, 3)
    middle = eroded > 0 if eroded.any() else depth[1:-1, 1:-1] >= DEEP * depth.max()
    chosen = small[middle] if inside.any() else pixels[mask]
    red, green, blue = (int(value) for value in np.median(chosen, axis=0))
    return red, green, blue
