"""ZOOM_IN: which part of the original to look at next.

The result names the crop; pixels stay where the original is. A handle can be followed by whoever has the image:
`crop:<first 16 hex digits of the pixels' sha-256>:x1,y1,x2,y2@WxH`.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

from pixelis.errors import InvalidOperation
from python_backends.images import Pixels
from python_backends.visual_ops.arguments import Region, Size, ZoomInArguments, corners, parse, point


def zoom_in(image: Pixels, arguments: dict[str, Any]) -> dict[str, Any]:
    """The region to show, whole pixels inside the image.

    A region that leaves the image is shifted back in, not cut, so that the zoom level is kept; one larger than
    the image becomes the image.

    Args:
        image: `[height, width, 3]`.
        arguments: `region`, or `center` with `zoom_factor` > 0 (2 shows half the width and height); `target_size`.

    Returns:
        `handle`, `region` as used, `size` of the crop as shown, `zoom_factor` in effect.

    Raises:
        InvalidOperation: see `ZoomInArguments`.
    """
    wanted = parse(ZoomInArguments, arguments, "ZOOM_IN")
    size = (image.shape[1], image.shape[0])
    window = _window(wanted, size)
    region = _shifted(window, size)
    shown = wanted.target_size or (region[2] - region[0], region[3] - region[1])
    return {
        "handle": f"crop:{pixel_digest(image)[:16]}:{','.join(map(str, region))}@{shown[0]}x{shown[1]}",
        "region": list(region),
        "size": list(shown),
        "zoom_factor": round(min(size[0] / (region[2] - region[0]), size[1] / (region[3] - region[1])), 4),
    }


def pixel_digest(image: Pixels) -> str:
    """sha-256 of an image's size and pixels, in hexadecimal."""
    h = hashlib.sha256(f"{image.shape[1]}x{image.shape[0]}:".encode())
    h.update(image.data if image.flags.c_contiguous else image.tobytes())
    return h.hexdigest()


def _window(wanted: ZoomInArguments, size: Size) -> Region:
    """Whole pixels, possibly outside the image."""
    if (wanted.region is None) == (wanted.center is None and wanted.zoom_factor is None):
        raise InvalidOperation("ZOOM_IN takes either `region`, or `center` with `zoom_factor`.")
    if wanted.region is not None:
        x1, y1, x2, y2 = corners(wanted.region, size, wanted.normalized)
        if x1 >= size[0] or y1 >= size[1] or x2 <= 0 or y2 <= 0:
            text = ", ".join(f"{value:.15g}" for value in (x1, y1, x2, y2))
            raise InvalidOperation(f"Region [{text}] does not overlap the image bounds ({size[0]}x{size[1]}).")
        return math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)
    if wanted.center is None or wanted.zoom_factor is None:
        raise InvalidOperation("`center` and `zoom_factor` of ZOOM_IN belong together.", mend="Give both, or `region`.")
    x, y = point(wanted.center, size, wanted.normalized)
    width, height = (max(1, round(min(side / wanted.zoom_factor, side))) for side in size)
    left, top = round(x - width / 2), round(y - height / 2)
    return left, top, left + width, top + height


def _shifted(window: Region, size: Size) -> Region:
    """`window` moved into the image; a side longer than the image becomes the image's."""
    width, height = min(window[2] - window[0], size[0]), min(window[3] - window[1], size[1])
    left = min(max(window[0], 0), size[0] - width)
    top = min(max(window[1], 0), size[1] - height)
    return left, top, left + width, top + height
