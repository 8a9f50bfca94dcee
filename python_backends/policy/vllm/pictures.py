"""Pictures as vLLM's backend takes them: PNG in base64. Each turn brings all of a conversation, so they are kept."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import OrderedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelis.errors import ServingError

KEPT_BYTES = 64 * 2**20
_FASTEST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


class Pictures:
    """Encodes without loss, least recently used out first; for any number of threads.

    Args:
        budget: bytes of encoded pictures that are kept.
    """

    def __init__(self, budget: int = KEPT_BYTES) -> None:
        self._budget, self._held = budget, 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()

    def encoded(self, picture: NDArray[np.uint8]) -> bytes:
        """A picture `[H, W, 3]`, RGB, as base64 of a PNG file."""
        key = hashlib.blake2b(picture.tobytes(), digest_size=16, person=str(picture.shape[:2]).encode()[:16]).digest()
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = base64.b64encode(_png(picture))
        self._keep(key, made)
        return made

    def _keep(self, key: bytes, made: bytes) -> None:
        with self._lock:
            if key in self._kept or len(made) > self._budget:
                return
            self._kept[key] = made
            self._held += len(made)
            while self._held > self._budget:
                self._held -= len(self._kept.popitem(last=False)[1])


def _png(picture: NDArray[np.uint8]) -> bytes:
    done, file = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _FASTEST)
    if not done:
        raise ServingError("A picture could not be written as PNG.")
    return bytes(file)
