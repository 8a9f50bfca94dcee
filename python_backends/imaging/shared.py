"""Decoded pictures in shared memory: what one process of a server has decoded, no other one decodes again.

Each is a file in /dev/shm whose name begins with the server's id, so that it goes with what else a server leaves there.
It appears by one rename and never changes; readers map it, and keep it for as long as they hold its pixels.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import threading
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from weakref import WeakSet

import numpy as np

from pixelis.loading import MARK
from pixelis.settings import settings
from python_backends.imaging.rgb import Pixels

SHM = Path("/dev/shm")
LEAST = 2**18
"""Bytes of pixels: what has fewer is decoded about as soon as it is found."""
MOST_MAPPED = 200
"""Pictures that a process maps at once: each holds a file descriptor, of which there may be 1024. Others are copied."""
_HEAD = struct.Struct("<4sII")
_MAGIC = b"PXL1"


class SharedPixels:
    """Pictures by the digest of their encoded bytes.

    Args:
        folder: in memory.
        prefix: of names; one server has one.
        budget: bytes that this process leaves there at most, the oldest out first.
    """

    def __init__(self, folder: Path, prefix: str, budget: int) -> None:
        self._folder, self._prefix, self._budget = folder, f"{prefix}pixels-", budget
        self._lock = threading.Lock()
        self._mine: OrderedDict[Path, int] = OrderedDict()
        self._mapped: WeakSet[mmap.mmap] = WeakSet()
        # Of a process that was killed nobody else removes anything; what the living left is decoded again.
        for path in folder.glob(f"{self._prefix}*"):
            path.unlink(missing_ok=True)

    @staticmethod
    @lru_cache(maxsize=1)
    def of_server() -> SharedPixels | None:
        """Those of the server that this process belongs to; none outside of one, or where the settings say so."""
        prefix, budget = os.environ.get(MARK), settings().cache.shared_bytes
        return SharedPixels(SHM, prefix, budget) if prefix and budget and SHM.is_dir() else None

    def find(self, key: str) -> Pixels | None:
        """The pixels `[height, width, 3]`, read-only; none where nobody has left them."""
        try:
            with self._path(key).open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # not there, or empty
            return None
        pixels = _pixels(mapped)
        with self._lock:
            many = len(self._mapped) >= MOST_MAPPED
            if not many:
                self._mapped.add(mapped)
        return pixels.copy() if many and pixels is not None else pixels

    def put(self, key: str, pixels: Pixels) -> Pixels:
        """Leave pixels for the others.

        Returns:
            The same pixels in shared memory; or `pixels` where it is not worth while, or there is no room.
        """
        size = _HEAD.size + pixels.nbytes
        path = self._path(key)
        if not LEAST <= pixels.nbytes <= self._budget or not self._room(size) or not self._write(path, pixels):
            return pixels
        with self._lock:
            self._mine[path] = size
            while sum(self._mine.values()) > self._budget:
                self._mine.popitem(last=False)[0].unlink(missing_ok=True)
        found = self.find(key)
        return pixels if found is None else found

    def _path(self, key: str) -> Path:
        return self._folder / f"{self._prefix}{key}"

    def _room(self, size: int) -> bool:
        """Half of shared memory stays free: Triton's processes talk to each other through it."""
        try:
            found = os.statvfs(self._folder)
        except OSError:
            return False
        return found.f_bavail * found.f_frsize - size >= found.f_blocks * found.f_frsize / 2

    @staticmethod
    def _write(path: Path, pixels: Pixels) -> bool:
        draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                file.write(_HEAD.pack(_MAGIC, *pixels.shape[:2]))
                file.write(np.ascontiguousarray(pixels).data)
            draft.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            return False
        return True


def _pixels(mapped: mmap.mmap) -> Pixels | None:
    """What a whole file holds; none where it is anything else."""
    if len(mapped) < _HEAD.size:
        return None
    magic, height, width = _HEAD.unpack_from(mapped)
    if magic != _MAGIC or len(mapped) != _HEAD.size + 3 * height * width:
        return None
    return np.frombuffer(mapped, np.uint8, offset=_HEAD.size).reshape(height, width, 3)
