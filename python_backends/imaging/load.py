"""A file whose header is known, decoded."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from pixelis.errors import InvalidImage, LimitExceeded
from python_backends.imaging.header import Header, damaged, no_picture
from python_backends.imaging.rgb import Pixels, rgb

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


def still(header: Header, at_least: tuple[int, int] | None = None) -> Pixels:
    """The pixels of a still picture, upright.

    Args:
        header: of a file within limits.
        at_least: (width, height) that are enough of the upright picture; none = all of it.

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
    image = opened(header)
    with broken():
        if at_least is not None:
            image.draft(None, at_least if header.orientation < 5 else at_least[::-1])
        image.load()
        return rgb(image, header)


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
