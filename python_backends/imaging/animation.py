"""Animated WebP, GIF and PNG as frames: each one a PNG of its own, since encoded bytes are what models hand on."""

from __future__ import annotations

from collections.abc import Iterator

import cv2

from pixelis.errors import LimitExceeded
from pixelis.settings import Limits
from python_backends.imaging.header import Header, damaged
from python_backends.imaging.load import broken, opened
from python_backends.imaging.read import header
from python_backends.imaging.rgb import Pixels, rgb


def split(data: bytes, limits: Limits) -> list[bytes]:
    """The frames of an animation in order, as they are seen: blended and disposed of; a still picture as it is.

    Times are not kept: a request says itself how many frames a second it has. Frames, canvas and the pixels of all
    frames together are judged before anything is decompressed.

    Args:
        data: one encoded picture. A GIF with one frame is a frame too.
        limits: all its frames together may have the pixels of one picture.

    Returns:
        Encoded pictures, PNG where it was split.

    Raises:
        LimitExceeded: too many bytes, frames or pixels.
        InvalidImage: empty, damaged or another format.
    """
    found = header(data, limits)
    if found.frames == 1 and found.format != "GIF":
        return [data]
    if found.frames > limits.frames:
        raise LimitExceeded(
            f"The animation has {found.frames} frames; at most {limits.frames} are allowed.",
            mend="Leave out some of them.",
        )
    pixels = found.width * found.height * found.frames
    if pixels > limits.image_pixels:
        raise LimitExceeded(
            f"The animation has {found.frames} frames of {found.width}x{found.height}, {pixels} pixels in all; "
            f"at most {limits.image_pixels} are allowed.",
            mend="Send fewer or smaller frames.",
        )
    return [_png(frame, limits) for frame in _frames(found)]


def _frames(found: Header) -> Iterator[Pixels]:
    image = opened(found)
    first = int(getattr(image, "default_image", False))  # of a PNG that shows another picture where nothing moves
    if getattr(image, "n_frames", 1) != found.frames + first:
        raise damaged("frames are missing")
    for number in range(first, first + found.frames):
        with broken():
            image.seek(number)
            image.load()
            frame = rgb(image, found)
        yield frame


def _png(frame: Pixels, limits: Limits) -> bytes:
    made = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    if len(made) > limits.image_bytes:
        raise LimitExceeded(
            f"A frame of the animation has {len(made)} bytes as a PNG; at most {limits.image_bytes} are allowed.",
            mend="Send smaller frames.",
        )
    return bytes(made)
