"""The images of one request: encoded, decoded when they are looked at, and known by their content."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from pixelis.schema import Operation
from pixelis.settings import Limits
from python_backends.images import DecodedImages, Pixels, digest, size_of
from python_backends.visual_ops.arguments import Size
from python_backends.visual_ops.canonical import OVER_TIME


class Pictures:
    """See above. All operations of a request share one; any number of threads may look.

    Args:
        encoded: bytes of each image.
        decoded: the process's decoded pictures.
        limits: of one picture.
    """

    def __init__(self, encoded: Sequence[bytes], decoded: DecodedImages, limits: Limits) -> None:
        self.encoded, self._limits = encoded, limits
        self.pixels: Sequence[Pixels] = decoded.lazily(encoded)

    def __len__(self) -> int:
        return len(self.encoded)

    @cached_property
    def digests(self) -> list[str]:
        """sha-256 of each image's bytes, in hexadecimal."""
        return [digest(data) for data in self.encoded]

    def size(self, index: int) -> Size:
        """(width, height) of an image, from its header; raises as `decode` does."""
        return size_of(self.encoded[index], self._limits)

    def needed(self, operation: Operation) -> range:
        """Indexes of the images that an operation looks at; empty where it names one that is not there."""
        if operation.image_index >= len(self):
            return range(0)
        if operation.operation in OVER_TIME:
            return range(len(self))
        return range(operation.image_index, operation.image_index + 1)

    def check(self, operation: Operation) -> None:
        """Decode what an operation will look at, one after the other, and judge the rest by their headers.

        Raises:
            InvalidImage, LimitExceeded: one of them is no picture that is taken.
        """
        needed = self.needed(operation)
        for index in range(len(self)):
            if index in needed:
                self.pixels[index]
            else:
                self.size(index)
