"""Images in memory that this process and a server on the same machine see, instead of in messages.

A region has a name only until the server has mapped it, so that nothing is left behind however this process ends. It
carries one request at a time. After a request without an answer the server may still read it, so it rests for as long
as that request may take; else another one's images might be taken for those that were asked about.
"""

from __future__ import annotations

import ipaddress
import mmap
import os
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path("/dev/shm")
LEAST = 256 * 2**10
"""Bytes of images; fewer are as quick in a message."""
MOST = 64 * 2**20
"""Bytes of all regions of a client."""
SHARE = 4
"""A region takes a quarter of what is free at most: the server needs that memory too."""
LOSSES = 3
"""Servers that may be started anew while a client lives."""
NAME = "IMAGE"


@dataclass(eq=False)
class Region:
    """Memory of one request.

    Attributes:
        name: as the server knows it.
        memory: what is written here and read there.
        rests_until: `time.monotonic()` from which on it may be used again.
        known: whether the server has mapped it.
    """

    name: str
    memory: mmap.mmap
    rests_until: float = 0.0
    known: bool = False

    def write(self, array: NDArray[np.object_]) -> int:
        """Put a BYTES tensor in, each element after its length; how many bytes that are."""
        at = 0
        for element in array.ravel():
            end = at + 4 + len(element)
            self.memory[at : at + 4] = len(element).to_bytes(4, "little")
            self.memory[at + 4 : end] = element
            at = end
        return at

    def named(self) -> None:
        """The server has mapped it, or never will: its name goes."""
        (FOLDER / self.name).unlink(missing_ok=True)


class Regions:
    """The regions of one client. For any number of threads.

    Args:
        on: whether there may be any.
    """

    def __init__(self, on: bool) -> None:
        self._on, self._lock = on, threading.Lock()
        self._free: list[Region] = []
        self._all: list[Region] = []
        self._lost, self._process = 0, os.getpid()

    def take(self, inputs: dict[str, NDArray[Any]]) -> Region | None:
        """A region for the images of a request; none where they go into the message."""
        if (
            not self._on or NAME not in inputs or os.getpid() != self._process
        ):  # a fork would write what its parent writes
            return None
        size = sum(len(element) + 4 for element in inputs[NAME].ravel())
        if size < LEAST:
            return None
        with self._lock:
            now = time.monotonic()
            for region in self._free:
                if len(region.memory) >= size and region.rests_until <= now:
                    self._free.remove(region)
                    return region
            room = MOST - sum(len(region.memory) for region in self._all)
            made = _made(1 << (size - 1).bit_length(), room)
            self._all += [made] if made is not None else []
            return made

    def give_back(self, region: Region, rest_s: float) -> None:
        """A request has ended; one without an answer may still be read for `rest_s`."""
        region.rests_until = time.monotonic() + rest_s if rest_s else 0.0
        with self._lock:
            if region in self._all:
                self._free.append(region)

    def lose(self) -> None:
        """The server knows none of them; where that happens again and again, there is not one server but several."""
        with self._lock:
            self._all, self._free, self._lost = [], [], self._lost + 1
            self._on = self._on and self._lost < LOSSES

    def stop(self) -> list[Region]:
        """Make no others; those that the server is to let go of."""
        with self._lock:
            self._on = False
            gone, self._all, self._free = self._all, [], []
            return [region for region in gone if region.known]


def local(url: str) -> bool:
    """Whether `host:port` is on this machine, as far as its text says."""
    host = url.rpartition(":")[0].strip("[]")
    try:
        return FOLDER.is_dir() and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def _made(size: int, room: int) -> Region | None:
    """A region of so many bytes, all of them there; none where that is too much."""
    name = f"pixelis-client-{os.getpid()}-{uuid.uuid4().hex}"
    try:
        if size > min(room, os.statvfs(FOLDER).f_bavail * os.statvfs(FOLDER).f_frsize // SHARE):
            return None
        descriptor = os.open(FOLDER / name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)  # a page that is not there would end the process when written
            return Region(name, mmap.mmap(descriptor, size))
        finally:
            os.close(descriptor)
    except OSError:
        (FOLDER / name).unlink(missing_ok=True)
        return None
