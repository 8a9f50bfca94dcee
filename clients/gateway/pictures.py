"""Pictures as they stand in JSON: base64, bare or as a `data:` URL, or an address that may be fetched."""

from __future__ import annotations

from collections.abc import Sequence

import pybase64

from clients.gateway.addresses import SCHEMES, Address, allowed
from pixelis.errors import InvalidImage, InvalidRequest, LimitExceeded
from pixelis.settings import Limits

HEAD = 256
"""Characters within which the comma of a `data:` URL is looked for."""


def decode(texts: Sequence[str], limits: Limits, hosts: Sequence[str] = ()) -> list[bytes | Address]:
    """The encoded images, and addresses of those that are still to be fetched.

    Args:
        texts: as sent.
        limits: of one request.
        hosts: whose images are fetched.

    Raises:
        LimitExceeded: too many, or one that is too large; judged before anything is decoded.
        InvalidImage: what is not base64.
        InvalidRequest: an address that is not fetched.
    """
    counted(len(texts), limits)
    return [_decode(text, limits, hosts) for text in texts]


def counted(count: int, limits: Limits) -> None:
    """Raises `InvalidRequest` where there is no image, `LimitExceeded` where there are too many."""
    if not count:
        raise InvalidRequest("There is no image.", mend="Send `image`, or `images`: base64, or a `data:` URL.")
    if count > limits.frames:
        raise LimitExceeded(f"{count} images in one request; {limits.frames} are taken.", mend="Send fewer.")


def sized(size: int, limits: Limits) -> None:
    """Raises `LimitExceeded` for an encoded image of too many bytes."""
    if size > limits.image_bytes:
        raise LimitExceeded(
            f"An image has {size} bytes; {limits.image_bytes} are taken.", mend="Compress it, or make it smaller."
        )


def _decode(text: str, limits: Limits, hosts: Sequence[str]) -> bytes | Address:
    if text[:8].lower().startswith(SCHEMES):
        return allowed(text, hosts)
    if text[:8].lower().startswith(("http:", "https:", "file:", "ftp:")):
        raise InvalidRequest(
            "An image's address is not fetched.", mend="Send the picture itself: base64, or a `data:` URL."
        )
    if text[:5].lower() == "data:":
        head, comma, text = text[:HEAD].partition(",")[0], text.find(",", 0, HEAD), text
        if comma < 0 or not head.lower().endswith(";base64"):
            raise InvalidImage("A `data:` URL is not `data:image/...;base64,...`.", mend="Send the bytes as base64.")
        text = text[comma + 1 :]
    sized(len(text) * 3 // 4 - 2, limits)
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:  # binascii's, and that of what is not ASCII
        pass
    try:  # as `base64` and e-mail write it, with line ends
        return pybase64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise InvalidImage("An image is not base64.", mend="Encode its bytes with the standard alphabet.") from None
