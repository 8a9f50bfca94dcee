"""Memory that two processes see, and that goes with the last of them."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Block:
    """Vectors `[n, width]` in memory that has a descriptor and no name: nothing is left behind, however it ends.

    It is written and read through the descriptor, because that leaves the interpreter to others; mapped only by
    `mapped`, in the process that works on it.

    Args:
        width: D.
        slices: `[n, D]` each, one after the other.
    """

    def __init__(self, width: int, slices: Iterable[Vectors] = ()) -> None:
        self.width, self.count = width, 0
        self.descriptor = os.memfd_create("pixelis-vectors")
        try:
            for vectors in slices:
                self._append(np.ascontiguousarray(vectors, np.float32))
        except BaseException:
            os.close(self.descriptor)
            raise

    def __enter__(self) -> Block:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.descriptor)

    def slices(self, size: int) -> Iterator[Vectors]:
        """Copies of all vectors, `size` at a time."""
        for start in range(0, self.count, size):
            part = np.empty((min(size, self.count - start), self.width), np.float32)
            os.preadv(self.descriptor, [part.data.cast("B")], start * self.width * 4)
            yield part

    def _append(self, vectors: Vectors) -> None:
        left, at = vectors.reshape(-1).data.cast("B"), self.count * self.width * 4
        while len(left):  # the system takes 2 GiB at once at most
            written = os.pwrite(self.descriptor, left, at)
            left, at = left[written:], at + written
        self.count += len(vectors)


def mapped(descriptor: int, count: int, width: int) -> Vectors:
    """The vectors `[count, width]` of another process's block."""
    if not count:
        return np.zeros((0, width), np.float32)
    memory = mmap.mmap(descriptor, count * width * 4, prot=mmap.PROT_READ)
    return np.frombuffer(memory, np.float32).reshape(count, width)
