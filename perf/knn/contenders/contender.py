"""What is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]
Setting = dict[str, Any]


class Contender(Protocol):
    """A built index that knows vectors by their positions; one thread searches."""

    def set(self, setting: Setting) -> None:
        """Search by these parameters from now on."""

    def search(self, queries: Vectors, k: int) -> Ids:
        """`[n, D]` -> `[n, k]` positions, -1 where fewer were found."""

    def size_bytes(self) -> int:
        """Bytes that the index takes, the vectors that it keeps included."""


@dataclass(frozen=True)
class Plan:
    """An index to be built, and the settings to search it by.

    Attributes:
        library: whose it is.
        label: its name in tables.
        family: its name in pictures, that of all of its kind.
        build: makes it, of `[n, D]` vectors, on so many threads.
        chains: settings, each chain from the quick to the thorough.
    """

    library: str
    label: str
    family: str
    build: Callable[[Vectors, int], Contender]
    chains: Sequence[Sequence[Setting]]
