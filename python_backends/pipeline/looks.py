"""What `prepare` makes of a request's images, kept for when the same ones come again: that is most of its work."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelis.cache_config import Cache
from python_backends.policy.geometry import Size

SHARE = 8
"""Of the bytes of decoded pictures, one in so many."""
Key = tuple[str, str, tuple[int, ...]]
"""Digest of the images, what they are, which of them are shown."""


@dataclass(frozen=True)
class Look:
    """Images as the other steps see them; read-only.

    Attributes:
        sizes: (width, height) of each original.
        views: `[n, H, W, 3]` uint8, the policy's view of each that is shown.
        retrieval_view: `[224, 224, 3]` uint8.
    """

    sizes: list[Size]
    views: NDArray[np.uint8]
    retrieval_view: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        """Of both views."""
        return self.views.nbytes + self.retrieval_view.nbytes


class KeptLooks:
    """Least recently used out first; for any number of threads.

    Args:
        budget: bytes; 0 = nothing is kept.
    """

    def __init__(self, budget: int) -> None:
        self._budget, self._held = budget, 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Look] = OrderedDict()

    @classmethod
    def of(cls, config: Cache) -> KeptLooks:
        """As the settings say: a share of what decoded pictures may take."""
        return cls(config.cache_bytes // SHARE if config.cache_size else 0)

    def get(self, key: Key) -> Look | None:
        """What was kept under `key`."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Key, look: Look) -> None:
        """Keep it, unless it is larger than all that may be kept."""
        if look.nbytes > self._budget:
            return
        look.views.setflags(write=False)
        look.retrieval_view.setflags(write=False)
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = look
            self._held += look.nbytes
            while self._held > self._budget:
                self._held -= self._kept.popitem(last=False)[1].nbytes
