"""A file whose header is known, decoded."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from pixelis.errors import InvalidImage, LimitExceeded
from python_backends.imaging.header import Header, damaged, no_picture
from python_backends.imaging.rgb import Pixels, rgb, turned

# What Pillow's parsers raise on bytes that only look like a picture.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
)


def still(header: Header) -> Pixels:
    """The pixels of a still picture within limits, upright.

    Raises:
        InvalidImage: animated, damaged, or a GIF.
    """
    if header.frames > 1:
        raise InvalidImage(
            "The image is animated.",
            mend="Its frames are looked at where `media` is `video`, and by TRACK_OBJECT and TEMPORAL_LOCALIZE; "
            "else send one frame as a picture.",
        )
    if header.format == "GIF":
        raise no_picture()
    if header.components in (1, 3) and (pixels := _straight(header)) is not None:
        return pixels
    image = opened(header)
    with broken():
        image.load()
        return rgb(image, header)


def _straight(header: Header) -> Pixels | None:
    """A JPEG by libjpeg-turbo into the array itself: the same pixels as Pillow's, which has it unpack and pack again.

    None where the file is not flawless: Pillow reads it all the same, or says what is wrong.
    """
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(header.data, "RGB", strict=True)
    except ValueError:
        return None
    if pixels.shape != (header.height, header.width, 3):
        return None
    return np.ascontiguousarray(turned(pixels, header.orientation))


def opened(header: Header) -> Image.Image:
    """The picture as Pillow sees it, not yet decoded.

    Raises:
        InvalidImage: it does not see what the header says.
    """
    try:
        with broken():
            image = Image.open(io.BytesIO(header.data), formats=(header.format,))
    except Image.DecompressionBombError:
        raise LimitExceeded(
            f"The image has {header.width}x{header.height} pixels, more than the decoder takes.",
            mend="Send a smaller one.",
        ) from None
    if image.size != (header.width, header.height):
        raise damaged("its size is not clear")
    return image


@contextmanager
def broken() -> Iterator[None]:
    """What a decoder raises within becomes an `InvalidImage`."""
    try:
        yield
    except _BROKEN as error:
        raise damaged(_reason(error)) from None


def _reason(error: BaseException) -> str:
    said = str(error).split("\n")[0]
    if isinstance(error, UnidentifiedImageError) or not said:
        said = "it cannot be read"
    return said[:120]
