"""Encoded bytes to pixels: checked first, decoded once a process.

Accepted are still JPEG, PNG and WebP pictures of any mode. What comes out is always RGB, 8 bits, upright.
"""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixelis.errors import InvalidImage, LimitExceeded
from pixelis.settings import Limits, settings

Pixels = NDArray[np.uint8]
"""`[height, width, 3]`, RGB, read-only when it comes from a cache."""

FORMATS = ("JPEG", "PNG", "WEBP")
ACCEPTED = "JPEG, PNG or WebP"

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
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


def digest(data: bytes) -> str:
    """sha-256 of encoded bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes, limits: Limits | None = None) -> Pixels:
    """The pixels of one encoded picture.

    Bytes and pixels are judged before anything is decompressed. EXIF orientation is applied,
    transparency is laid on white, 16 bits become 8 by scaling, CMYK and palettes become RGB.

    Args:
        data: an encoded still picture.
        limits: bounds of one picture; the process's settings by default.

    Returns:
        `[height, width, 3]` uint8, RGB, contiguous.

    Raises:
        LimitExceeded: too many bytes or pixels.
        InvalidImage: empty, truncated, animated, or not one of the accepted formats.
    """
    limits = limits or settings().limits
    image = _open(data, limits)
    try:
        turn = _UPRIGHT.get(_orientation(image))
        image.load()
        rgb = _as_rgb(image)
    except _BROKEN as error:
        raise InvalidImage(
            f"The image is damaged or cut short ({_reason(error)}).",
            mend="Send the whole file.",
        ) from None
    if turn is not None:
        rgb = rgb.transpose(turn)
    return np.array(rgb, dtype=np.uint8, order="C")


def size_of(data: bytes, limits: Limits | None = None) -> tuple[int, int]:
    """Upright `(width, height)` of a picture, from its header alone; raises as `decode` does."""
    image = _open(data, limits or settings().limits)
    width, height = image.size
    return (height, width) if _orientation(image) >= 5 else (width, height)


def _open(data: bytes, limits: Limits) -> Image.Image:
    """The picture with only its header read, within limits."""
    if not data:
        raise InvalidImage("The image is empty.", mend=f"Send the bytes of a {ACCEPTED} file.")
    if len(data) > limits.image_bytes:
        raise LimitExceeded(f"The image has {len(data)} bytes; at most {limits.image_bytes} are allowed.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise LimitExceeded(
            f"The image has more than {limits.image_pixels} pixels.",
            mend="Send a smaller one.",
        ) from None
    except _BROKEN:
        raise InvalidImage("The bytes are not a picture that can be read.", mend=f"Send {ACCEPTED}.") from None
    width, height = image.size
    if width * height > limits.image_pixels:
        raise LimitExceeded(
            f"The image has {width}x{height} = {width * height} pixels; at most {limits.image_pixels} are allowed.",
            mend="Send a smaller one.",
        )
    # An MPO is a JPEG with further pictures behind it (many phones write it): its first one is the photograph.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise InvalidImage(
            "The image is animated.",
            mend="Send its frames as separate images, with media `video`.",
        )
    return image


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1-8; damaged EXIF counts as none, as in every browser."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey at 255 when it converts: scale instead.
        grey = np.asarray(image).astype(np.float32) / 257.0
        return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(paper, rgba).convert("RGB")
    return image.convert("RGB")


def _reason(error: BaseException) -> str:
    return str(error).split("\n")[0][:120] or type(error).__name__


class DecodedImages:
    """Decoded pictures by the digest of their bytes: least recently used out first, bounded in bytes.

    Threads that ask for the same picture at once share one decoding. A picture larger than the
    whole budget is decoded and not kept. Failures are never kept.

    Args:
        budget_bytes: decoded bytes held in all; the process's settings by default.
        entries: pictures held; the process's settings by default.
        limits: bounds of one picture.
    """

    def __init__(
        self,
        budget_bytes: int | None = None,
        entries: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        bounds = settings().cache
        self._budget = bounds.cache_bytes if budget_bytes is None else budget_bytes
        self._entries = bounds.cache_size if entries is None else entries
        self._limits = limits
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Pixels] = OrderedDict()
        self._under_way: dict[str, Future[Pixels]] = {}
        self._bytes = self._hits = self._misses = 0

    def lazily(self, images: Sequence[bytes]) -> Sequence[Pixels]:
        """`images` as a sequence of their pixels, each decoded when it is asked for."""
        return _Lazily(self, images)

    def get(self, data: bytes) -> Pixels:
        """The pixels of `data`, read-only; raises as `decode` does."""
        key = digest(data)
        with self._lock:
            if key in self._kept:
                self._hits += 1
                self._kept.move_to_end(key)
                return self._kept[key]
            shared = self._under_way.get(key)
            if shared is None:
                self._misses += 1
                mine: Future[Pixels] = Future()
                self._under_way[key] = mine
            else:
                self._hits += 1
        return shared.result() if shared is not None else self._fill(key, data, mine)

    def stats(self) -> dict[str, int]:
        """Counters: `hits`, `misses`, `entries`, `bytes`."""
        with self._lock:
            return {
                "hits": self._hits,
                "misses": self._misses,
                "entries": len(self._kept),
                "bytes": self._bytes,
            }

    def _fill(self, key: str, data: bytes, mine: Future[Pixels]) -> Pixels:
        try:
            pixels = decode(data, self._limits)
        except BaseException as error:
            with self._lock:
                del self._under_way[key]
            mine.set_exception(error)
            raise
        pixels.setflags(write=False)
        with self._lock:
            del self._under_way[key]
            self._keep(key, pixels)
        mine.set_result(pixels)
        return pixels

    def _keep(self, key: str, pixels: Pixels) -> None:
        if pixels.nbytes > self._budget or not self._entries:
            return
        self._kept[key] = pixels
        self._bytes += pixels.nbytes
        while self._bytes > self._budget or len(self._kept) > self._entries:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= gone.nbytes


class _Lazily(Sequence[Pixels]):
    """Pictures that are decoded when they are looked at."""

    def __init__(self, decoded: DecodedImages, images: Sequence[bytes]) -> None:
        self._decoded, self._images = decoded, images

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Pixels]: ...

    def __getitem__(self, index: int | slice) -> Pixels | Sequence[Pixels]:
        if isinstance(index, slice):
            return _Lazily(self._decoded, self._images[index])
        return self._decoded.get(self._images[index])
