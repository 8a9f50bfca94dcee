"""The elements of an `IMAGE` tensor: encoded bytes, or the same as a `data:` URL. Nothing is ever fetched.

Of a video, an animated element stands for its frames. Every step that takes `IMAGE` splits it anew, to the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from pixelis.errors import InvalidImage, InvalidRequest, LimitExceeded
from pixelis.settings import Limits
from python_backends.imaging.animation import split

_SCHEME = b"data:"
_SMALLER = "Scale it down, or compress it more."
_MEND = "Send the file's bytes, or `data:image/png;base64,...`."


def unwrap(elements: Sequence[bytes], limits: Limits, media: Literal["images", "video"] = "images") -> list[bytes]:
    """The encoded bytes of each image or frame.

    Args:
        elements: of the tensor.
        limits: what a request may carry.
        media: of a `video`, animated WebP, GIF and PNG are split into frames.

    Raises:
        InvalidRequest: there is no image.
        LimitExceeded: more images or frames than `limits.frames`, or one larger than `limits.image_bytes`.
        InvalidImage: a URL that is not a base64 `data:image/` one, or an animation that cannot be split.
    """
    if not elements:
        raise InvalidRequest("The request has no image.", mend=f"Send 1 to {limits.frames}.")
    _require_few(len(elements), "images", limits)
    images = [_one(element, i, limits) for i, element in enumerate(elements)]
    return images if media == "images" else frames_of(images, limits)


def _require_few(count: int, what: str, limits: Limits) -> None:
    if count > limits.frames:
        raise LimitExceeded(f"The request has {count} {what}; at most {limits.frames} are allowed.", mend="Send fewer.")


def frames_of(images: Sequence[bytes], limits: Limits) -> list[bytes]:
    """The frames of a video: each animation split, each still picture one frame.

    Raises:
        LimitExceeded: more than `limits.frames` in all, or see `animation.split`.
        InvalidImage: see `animation.split`.
    """
    frames: list[bytes] = []
    for i, image in enumerate(images):
        with about(i):
            frames += split(image, limits)
        _require_few(len(frames), "frames", limits)
    return frames


@contextmanager
def about(index: int) -> Iterator[None]:
    """What is wrong with a picture says which one of the request it is."""
    try:
        yield
    except (InvalidImage, LimitExceeded) as error:
        raise type(error)(f"Image {index}: {error.message}", mend=error.mend) from None


def _one(element: bytes, index: int, limits: Limits) -> bytes:
    data = _from_url(element, index, limits) if element[:5].lower() == _SCHEME else element
    if element[:8].lower().startswith((b"http://", b"https://", b"file://")):
        raise InvalidImage(f"Image {index} is a URL, and images are never fetched.", mend=_MEND)
    if len(data) > limits.image_bytes:
        raise LimitExceeded(
            f"Image {index} has {len(data)} bytes; at most {limits.image_bytes} are allowed.", mend=_SMALLER
        )
    return data


def _from_url(element: bytes, index: int, limits: Limits) -> bytes:
    header, comma, body = element.partition(b",")
    kind = header[len(_SCHEME) :].lower()
    if not comma or not kind.startswith(b"image/") or not kind.endswith(b";base64"):
        raise InvalidImage(f"Image {index} is not a base64 image URL.", mend=_MEND)
    if len(body) * 3 // 4 > limits.image_bytes + 2:
        raise LimitExceeded(
            f"Image {index} has more than the {limits.image_bytes} bytes that are allowed.", mend=_SMALLER
        )
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidImage(f"Image {index} holds characters that are not base64.", mend=_MEND) from None


def digest(images: Sequence[bytes]) -> str:
    """sha-256 over the encoded images in order, each preceded by its length, in hexadecimal."""
    h = hashlib.sha256()
    for image in images:
        h.update(len(image).to_bytes(8, "big"))
        h.update(image)
    return h.hexdigest()
