"""A picture of any of Pillow's modes as RGB of 8 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from python_backends.imaging.header import Header

Pixels = NDArray[np.uint8]
"""`[height, width, 3]`, RGB, read-only when it comes from a cache."""

STRIP = 2**21
"""Pixels that are converted at once: of a large picture there is one copy in the decoder's mode and one of RGB."""


def rgb(image: Image.Image, header: Header) -> Pixels:
    """The pixels of a loaded picture, upright.

    Transparency is laid on white. 16 bits become 8 by their upper half: 256 equal steps, as the decoder does it for
    colours, at most one off `round(value / 257)`. CMYK becomes RGB without a colour profile, as its inks inverted.

    Args:
        image: loaded.
        header: of its file.

    Returns:
        `[height, width, 3]`, contiguous.
    """
    width, height = image.size
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.ascontiguousarray(turned(np.asarray(image), header.orientation))
    out = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        out[top : top + rows] = _on_white(image.crop((0, top, width, min(top + rows, height))), header.bits)
    return np.ascontiguousarray(turned(out, header.orientation))


def _on_white(image: Image.Image, bits: int) -> Pixels:
    clear = image.info.get("transparency")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        grey = (values >> 8).astype(np.uint8)
        return np.where(values == clear, np.uint8(255), grey)[..., None]
    if bits == 16 and isinstance(clear, tuple):  # the picture has 8 by now
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    if clear is not None or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        rgba = image.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(paper, rgba)
    return np.asarray(image.convert("RGB"))


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """A view of `pixels` as EXIF says that they are to be seen: 5-8 swap the axes, then both may be mirrored."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
