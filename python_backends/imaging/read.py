"""Which format bytes have, and whether a picture of it is within limits."""

from __future__ import annotations

from pixelis.errors import InvalidImage, LimitExceeded
from pixelis.settings import Limits
from python_backends.imaging import gif, jpeg, png, webp
from python_backends.imaging.header import ACCEPTED, Header, no_picture


def header(data: bytes, limits: Limits) -> Header:
    """What a file says about itself, within the limits of one picture.

    Raises:
        LimitExceeded: too many bytes or pixels.
        InvalidImage: empty, none of the formats, or damaged before its pixels begin.
    """
    if not data:
        raise InvalidImage("The image is empty.", mend=f"Send the bytes of a {ACCEPTED} file.")
    if len(data) > limits.image_bytes:
        raise LimitExceeded(f"The image has {len(data)} bytes; at most {limits.image_bytes} are allowed.")
    found = _read(data)
    pixels = found.width * found.height
    if pixels > limits.image_pixels:
        raise LimitExceeded(
            f"The image has {found.width}x{found.height} = {pixels} pixels; at most {limits.image_pixels} are allowed.",
            mend="Send a smaller one.",
        )
    return found


def _read(data: bytes) -> Header:
    if data[:3] == b"\xff\xd8\xff":
        return jpeg.read(data)
    if data[:8] == png.SIGNATURE:
        return png.read(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return webp.read(data)
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return gif.read(data)
    raise no_picture()
