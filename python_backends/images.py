"""Encoded bytes to pixels: checked first, decoded once a process, and once a server where its processes share memory.

Accepted are still JPEG, PNG and WebP pictures of any mode. What comes out is always RGB, 8 bits, upright. What a file
is, and how large, is read by `python_backends.imaging` before a decoder sees it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import overload

from pixelis.settings import Limits, settings
from python_backends.imaging.header import ACCEPTED
from python_backends.imaging.load import still
from python_backends.imaging.read import header
from python_backends.imaging.rgb import Pixels
from python_backends.imaging.shared import SharedPixels

__all__ = ["ACCEPTED", "DecodedImages", "Pixels", "decode", "digest", "size_of"]


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
    return still(header(data, limits or settings().limits))


def size_of(data: bytes, limits: Limits | None = None) -> tuple[int, int]:
    """Upright `(width, height)` of a picture, from its header alone.

    Raises:
        LimitExceeded: too many bytes or pixels.
        InvalidImage: not one of the accepted formats.
    """
    return header(data, limits or settings().limits).upright


class DecodedImages:
    """Decoded pictures by the digest of their bytes: least recently used out first, bounded in bytes.

    Threads that ask for the same picture at once share one decoding. A picture larger than the
    whole budget is decoded and not kept. Failures are never kept. What another process of the same server has decoded
    is taken from there.

    Args:
        budget_bytes: decoded bytes held in all; the process's settings by default.
        entries: pictures held; the process's settings by default.
        limits: bounds of one picture.
        shared: what this server's processes share; by default as the settings and the environment say.
    """

    def __init__(
        self,
        budget_bytes: int | None = None,
        entries: int | None = None,
        limits: Limits | None = None,
        shared: SharedPixels | None = None,
    ) -> None:
        bounds = settings().cache
        self._budget = bounds.cache_bytes if budget_bytes is None else budget_bytes
        self._entries = bounds.cache_size if entries is None else entries
        self._limits = limits
        self._shared = shared if shared is not None or not self._entries else SharedPixels.of_server()
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
            pixels = self._load(key, data)
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

    def _load(self, key: str, data: bytes) -> Pixels:
        if self._shared is None:
            return decode(data, self._limits)
        found = self._shared.find(key)
        return self._shared.put(key, decode(data, self._limits)) if found is None else found

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
