"""Features of parts of one image, each computed once; a caller may remember them from one click to the next."""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.features import SIDE, Cells, Features

Memory = MutableMapping[str, NDArray[np.float32]]
"""Features by image and window. Whoever gives one bounds it: an entry is 300 KB with the served encoder."""


class Views:
    """An image as the encoder sees it. Not for several threads; `memory` may be, where the mapping is.

    Args:
        image: `[height, width, 3]` RGB.
        features: the image encoder.
        memory: what earlier calls about any image found; none = only this object remembers.
        name: of the image's pixels and of the encoder's version; by default a digest of the pixels, which is right as
            long as the memory belongs to one encoder.
    """

    def __init__(self, image: Pixels, features: Features, memory: Memory | None = None, name: str = "") -> None:
        self._image = image
        self._features = features
        self._memory: Memory = {} if memory is None else memory
        self._name = name or ("" if memory is None else pixel_digest(image))

    def cells(self, windows: Sequence[Region]) -> list[Cells]:
        """Features `[grid, grid, width]` of each window, in one call of the encoder at most.

        Raises:
            ServingError: the encoder did not answer.
        """
        found = {window: self._memory.get(self._key(window)) for window in windows}
        missing = [window for window, cells in found.items() if cells is None]
        if missing:
            seen = self._features(np.stack([view(self._image, window) for window in missing]))
            for window, cells in zip(missing, seen, strict=True):
                found[window] = self._memory[self._key(window)] = np.array(cells, np.float32)
        return [cells for window in windows if (cells := found[window]) is not None]

    def _key(self, window: Region) -> str:
        return f"{self._name}:{','.join(map(str, window))}"


def pixel_digest(image: Pixels) -> str:
    """A name for an image's size and pixels."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def view(image: Pixels, window: Region) -> Pixels:
    """A window as the encoder takes it, `[224, 224, 3]`."""
    crop = image[window[1] : window[3], window[0] : window[2]]
    shrinks = min(crop.shape[:2]) >= SIDE
    return np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))
