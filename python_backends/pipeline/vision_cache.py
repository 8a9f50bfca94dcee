"""Visual tokens of views seen before: a second question on the same image does not run the encoder."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

import numpy as np

from pixelis.cache_config import Cache
from pixelis.errors import Unavailable
from python_backends.pipeline.models import Floats, Views

Encode = Callable[[Views, float, str | None], Floats]
"""Views, deadline, and the version of the encoder that must answer (none = whichever is served) -> tokens."""


class VisionCache:
    """What was used least recently goes first. For any number of threads; two that miss the same view both encode it.

    Args:
        encode: see `Encode`.
        version: the newest version of the encoder, asked at every call; none = it is not known, and nothing is kept.
        budget: bytes of tokens that may be held.

    Attributes:
        held: bytes that are.
    """

    def __init__(self, encode: Encode, version: Callable[[], str | None], budget: int) -> None:
        self._encode = encode
        self._version = version
        self._budget = budget
        self._lock = threading.Lock()
        self._tokens: OrderedDict[bytes, Floats] = OrderedDict()
        self._answered: str | None = None
        self._hits = self._misses = 0
        self.held = 0

    def __call__(self, views: Views, deadline: float) -> Floats:
        """Views `[n, height, width, 3]` -> their tokens `[n, tokens, hidden]`."""
        version = self._version()
        if version is None or not self._budget:
            return self._encode(views, deadline, None)
        keys = [_key(view, version) for view in views]
        found = self._find(keys)
        missing = {key: i for i, key in enumerate(keys) if key not in found}
        if missing:
            fresh, kept = self._encoded(views[list(missing.values())], deadline, version)
            found.update(zip(missing, fresh, strict=True))
            if kept:
                self._keep(missing, found)
        return np.stack([found[key] for key in keys])

    def counted(self) -> tuple[int, int]:
        """Views that were found, and that were not, since the last time this was asked."""
        with self._lock:
            counts = self._hits, self._misses
            self._hits = self._misses = 0
        return counts

    def _find(self, keys: Sequence[bytes]) -> dict[bytes, Floats]:
        with self._lock:
            found = {key: self._tokens[key] for key in keys if key in self._tokens}
            for key in found:
                self._tokens.move_to_end(key)
            hits = sum(key in found for key in keys)
            self._hits += hits
            self._misses += len(keys) - hits
        return found

    def _encoded(self, views: Views, deadline: float, version: str) -> tuple[Floats, bool]:
        """Tokens, and whether they are certain to be of this version."""
        try:
            tokens = self._encode(views, deadline, version)
        except Unavailable:
            if version == self._answered:
                raise
            # The newest version lies there and may not be loaded yet: the one before it answers.
            return self._encode(views, deadline, None), False
        self._answered = version
        return tokens, True

    def _keep(self, keys: Iterable[bytes], found: dict[bytes, Floats]) -> None:
        with self._lock:
            for key in keys:
                if key not in self._tokens:
                    self._tokens[key] = found[key].copy()  # a row of a batch would hold all of it
                    self.held += found[key].nbytes
            while self.held > self._budget:
                _, gone = self._tokens.popitem(last=False)
                self.held -= gone.nbytes


def vision_bytes(config: Cache) -> int:
    """The budget that the settings leave; `cache_size` 0 switches the caches of a process off."""
    return config.cache_bytes if config.cache_size else 0


def _key(view: Views, version: str) -> bytes:
    digest = blake2b(digest_size=16)
    digest.update(repr((version, view.shape, view.dtype.str)).encode())
    digest.update(np.ascontiguousarray(view).data)
    return digest.digest()
