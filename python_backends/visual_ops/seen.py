"""Features of pictures' parts that were looked at before: a second click on a picture costs only its new windows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, MutableMapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

BYTES = 64 * 2**20
"""Some 200 views of the served encoder."""


class Seen:
    """Arrays by name, least recently used out first. For any number of threads.

    Args:
        budget_bytes: of all that is remembered.
    """

    def __init__(self, budget_bytes: int = BYTES) -> None:
        self._budget = budget_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Array] = OrderedDict()
        self._bytes = 0

    def by(self, maker: str) -> MutableMapping[str, Array]:
        """What one maker has seen: features of another version of a model are no features of this one."""
        return _Part(self, maker)

    def get(self, name: str) -> Array | None:
        """An array, if it is remembered."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def put(self, name: str, value: Array) -> None:
        """Remember an array; one that is larger than the budget is not."""
        with self._lock:
            self._drop(name)
            if value.nbytes > self._budget:
                return
            self._kept[name] = value
            self._bytes += value.nbytes
            while self._bytes > self._budget:
                self._drop(next(iter(self._kept)))

    def drop(self, name: str) -> None:
        """Forget an array, if it is remembered."""
        with self._lock:
            self._drop(name)

    def clear(self) -> None:
        """Forget all of it."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def names(self) -> list[str]:
        """Of all that is remembered."""
        with self._lock:
            return list(self._kept)

    def _drop(self, name: str) -> None:
        gone = self._kept.pop(name, None)
        self._bytes -= 0 if gone is None else gone.nbytes


class _Part(MutableMapping[str, Array]):
    """Names that begin alike, without their beginning."""

    def __init__(self, seen: Seen, maker: str) -> None:
        self._seen, self._maker = seen, f"{maker}|"

    def __getitem__(self, name: str) -> Array:
        found = self._seen.get(self._maker + name)
        if found is None:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, value: Array) -> None:
        self._seen.put(self._maker + name, value)

    def __delitem__(self, name: str) -> None:
        self._seen.drop(self._maker + name)

    def __iter__(self) -> Iterator[str]:
        start = len(self._maker)
        return iter([name[start:] for name in self._seen.names() if name.startswith(self._maker)])

    def __len__(self) -> int:
        return sum(1 for _ in self)
