"""What an index over keys must do; `flat.py` is the exact one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Index(Protocol):
    """Vectors under 64-bit numbers that the store hands out once and never again."""

    def __len__(self) -> int:
        """How many vectors can be found."""

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Put `[n, D]` vectors in under `[n]` numbers not used before."""

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Take vectors out for good; how many were there."""

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """`[n, D]` queries -> `[n, k]` inner products, best first, and their numbers (-1 where there are fewer)."""

    def save(self, path: Path) -> None:
        """Write the index to one file."""

    def load(self, path: Path) -> None:
        """Become what `save` wrote."""

    def parameters(self) -> dict[str, Any]:
        """What was chosen: kind, metric, width, threads."""
