"""The exact inner-product index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray


class FlatIndex:
    """FAISS `IndexFlatIP` under `IndexIDMap2`: recall 1, cost linear in the number of vectors.

    Args:
        width: D.
        threads: for batches; a single query always takes one, because waking others costs more than the scan.
    """

    def __init__(self, width: int, threads: int = 1) -> None:
        self._threads = threads
        self._index = _empty(width)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """See `Index.add`."""
        self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.ascontiguousarray(ids, np.int64))

    def remove(self, ids: NDArray[np.int64]) -> int:
        """See `Index.remove`."""
        return int(self._index.remove_ids(np.ascontiguousarray(ids, np.int64)))

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See `Index.search`."""
        faiss.omp_set_num_threads(1 if len(queries) == 1 else self._threads)
        scores, ids = self._index.search(np.ascontiguousarray(queries, np.float32), k)
        return scores, ids

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The stored vectors `[n, D]` of `ids`, bit for bit."""
        out = np.empty((len(ids), self._index.d), np.float32)
        for row, number in enumerate(ids):
            self._index.reconstruct(int(number), out[row])
        return out

    def save(self, path: Path) -> None:
        """See `Index.save`."""
        faiss.write_index(self._index, str(path))

    def load(self, path: Path) -> None:
        """See `Index.load`."""
        index = faiss.read_index(str(path))
        if index.d != self._index.d or index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise ValueError(f"{path.name} holds an index of width {index.d} or another metric")
        self._index = index

    def parameters(self) -> dict[str, Any]:
        """See `Index.parameters`."""
        return {"kind": "flat", "metric": "inner_product", "width": int(self._index.d), "threads": self._threads}


def _empty(width: int) -> Any:
    return faiss.IndexIDMap2(faiss.IndexFlatIP(width))
