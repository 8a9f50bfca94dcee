"""A copy of an index on a GPU, to be searched. FAISS moves flat and inverted-list indexes; a graph is built there."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, Unavailable
from pixelis.faiss_device import why_no_gpu
from pixelis.index_config import Flat, IndexConfig, IvfFlat
from python_backends.experience.indexes import checks

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

MEND = "Install faiss-gpu-cu12 in the place of faiss-cpu, on a machine with an NVIDIA GPU."


class GpuIndex:
    """Vectors in the order in which they were given, on the first GPU; nothing is added or removed afterwards.

    Args:
        config: `flat` or `ivf_flat` alone; none = CAGRA, the graph of cuVS (Ootomo et al., arXiv 2308.15136).
        vectors: `[n, D]`.

    Raises:
        Unavailable: there is no GPU, or FAISS was built without what is asked for; with the reason.
        InvalidRequest: another kind, or vectors that no index takes.
    """

    def __init__(self, config: IndexConfig | None, vectors: Vectors) -> None:
        reason = why_no_gpu()
        if reason is not None:
            raise Unavailable(f"No index on a GPU: {reason}", mend=MEND)
        self._vectors = checks.vectors(vectors, vectors.shape[1])
        self._resources = faiss.StandardGpuResources()
        self._index = self._cagra() if config is None else self._moved(config)

    def search(self, queries: Vectors, k: int, probes: int = 8) -> Rows:
        """`[n, D]` queries -> `[n, k]` rows, best first; of an `ivf_flat`, out of so many lists."""
        checks.k(k)
        if hasattr(self._index, "nprobe"):
            self._index.nprobe = probes
        rows: Rows = self._index.search(checks.vectors(queries, self._vectors.shape[1]), k)[1]
        return rows

    def _moved(self, config: IndexConfig) -> Any:
        width, plain = self._vectors.shape[1], config.transform is None and config.refine is None
        made = faiss.IndexFlatIP(width)
        if plain and isinstance(config.index, IvfFlat):
            made = faiss.IndexIVFFlat(made, width, config.index.lists, faiss.METRIC_INNER_PRODUCT)
        elif not (plain and isinstance(config.index, Flat)):
            raise InvalidRequest(f"{config.label} stays on the CPU.", mend="Take flat or ivf_flat alone.")
        moved = faiss.index_cpu_to_gpu(self._resources, 0, made)
        if not moved.is_trained:
            moved.train(self._vectors)
        moved.add(self._vectors)
        return moved

    def _cagra(self) -> Any:
        if not hasattr(faiss, "GpuIndexCagra"):
            raise Unavailable("No CAGRA: FAISS was built without cuVS.", mend="Install faiss-gpu-cuvs.")
        made = faiss.GpuIndexCagra(self._resources, self._vectors.shape[1], faiss.METRIC_INNER_PRODUCT)
        made.train(self._vectors)
        return made
