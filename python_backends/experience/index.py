"""What an index over keys must do; `indexes/` has one file a kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pixelis.index_config import IndexConfig

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]


class Index(Protocol):
    """Vectors under 64-bit numbers that the store hands out once and never again; similarity is the inner product."""

    def __len__(self) -> int:
        """How many vectors can be found."""

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Put `[n, D]` vectors in under `[n]` numbers not used before, none negative.

        Raises:
            InvalidRequest: another width, a value that is not finite, a vector of zeros, or a number that is there.
        """

    def remove(self, ids: Ids) -> int:
        """Take vectors out for good; how many were there."""

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Ids]:
        """`[n, D]` queries -> `[n, k]` inner products, best first, and their numbers (-1 where fewer were found).

        Raises:
            InvalidRequest: another width, a value that is not finite, a vector of zeros, or a k below 1.
        """

    def vectors(self, ids: Ids) -> Vectors:
        """The stored vectors `[n, D]` of `ids`, bit for bit.

        Raises:
            InvalidRequest: the index keeps codes only.
            NotFound: a number that is not there.
        """

    def parameters(self) -> dict[str, Any]:
        """What was chosen: kind, metric, width, threads and what the kind has of its own."""


class TrainedIndex(Index, Protocol):
    """An index that learns how vectors are distributed before it takes any, and that is kept in a file."""

    @property
    def config(self) -> IndexConfig:
        """How it is built and searched."""

    @property
    def trained(self) -> bool:
        """Whether it can take vectors."""

    def train(self, vectors: Vectors) -> None:
        """Learn from a sample `[n, D]`. Raises `InvalidRequest` where it is too small."""

    def adjust(self, config: IndexConfig) -> None:
        """Search by other parameters from now on. Raises `InvalidRequest` where `config` is built otherwise."""

    def save(self, path: Path) -> None:
        """Write the index to one file, whole or not at all. Raises `OSError`."""

    def load(self, path: Path) -> None:
        """Become what `save` wrote.

        Raises:
            SetupError: it cannot be read, is damaged, or is of another kind, width or metric.
        """
