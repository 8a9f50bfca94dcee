"""Curiosity of steps that were seen before, within one process.

A key is a SHA-256 over all that a value depends on, whole: both states' bytes, the action's embedding, the version of
the dynamics network and the weights. (An abbreviated tensor, or a key without the next state, makes different steps
collide.)
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

STEPS = 4096


def step_key(
    version: str, before: NDArray[np.float32], action: NDArray[np.float32], after: NDArray[np.float32]
) -> bytes:
    """32 bytes; every part is preceded by its length, so that no two steps spell the same."""
    digest = hashlib.sha256()
    for part in (version.encode(), *(np.ascontiguousarray(a, np.float32).tobytes() for a in (before, action, after))):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


class StepCache:
    """The `most` newest steps that were used; safe to use from several threads.

    Attributes:
        hits: steps that were found.
        misses: steps that were not.
    """

    def __init__(self, most: int = STEPS) -> None:
        self._most = most
        self._found: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = self.misses = 0

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: bytes) -> float | None:
        """A step's curiosity; none where it is not known."""
        with self._lock:
            value = self._found.get(key)
            if value is None:
                self.misses += 1
                return None
            self.hits += 1
            self._found.move_to_end(key)
            return value

    def put(self, key: bytes, value: float) -> None:
        """Keep a step; the one that was not used for longest goes."""
        with self._lock:
            self._found[key] = value
            self._found.move_to_end(key)
            while len(self._found) > self._most:
                self._found.popitem(last=False)
