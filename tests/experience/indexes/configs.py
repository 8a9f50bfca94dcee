"""One configuration of each kind that is small enough to test, plain and with what can stand around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixelis.index_config import Hnsw, IndexConfig, IvfFlat, IvfPq, Lsh, Opq, Pca, Refine, Storage

WIDTH = 24
REFINE = Refine(factor=6)

IVF_PQ = IvfPq(lists=8, probes=4, subquantizers=12, bits=8)
FAST = IvfPq(lists=8, probes=4, subquantizers=12, bits=4, fast_scan=True)

CONFIGS = {
    "flat": IndexConfig(),
    "flat+pca+refine": IndexConfig(transform=Pca(width=12), refine=REFINE),
    "hnsw": IndexConfig(index=Hnsw(ef_search=48)),
    "hnsw+pca+refine": IndexConfig(index=Hnsw(ef_search=48), transform=Pca(width=12), refine=REFINE),
    "hnsw-int8+refine": IndexConfig(index=Hnsw(ef_search=48, storage=Storage.INT8), refine=REFINE),
    "hnsw-float16": IndexConfig(index=Hnsw(ef_search=48, storage=Storage.FLOAT16)),
    "ivf_flat": IndexConfig(index=IvfFlat(lists=8, probes=5)),
    "ivf_flat+pca+refine": IndexConfig(index=IvfFlat(lists=8, probes=5), transform=Pca(width=12), refine=REFINE),
    "ivf_pq": IndexConfig(index=IVF_PQ),
    "ivf_pq+opq+refine": IndexConfig(index=IVF_PQ, transform=Opq(width=24, iterations=1), refine=REFINE),
    "ivf_pq-fast": IndexConfig(index=FAST),
    "ivf_pq-fast+refine-int8": IndexConfig(index=FAST, refine=Refine(factor=6, storage=Storage.INT8)),
    "lsh": IndexConfig(index=Lsh(bits=512)),
    "lsh+refine": IndexConfig(index=Lsh(bits=256), refine=REFINE),
}

RECALL = {
    "flat": 1.0, "flat+pca+refine": 0.9, "hnsw": 0.95, "hnsw+pca+refine": 0.9, "hnsw-int8+refine": 0.95,
    "hnsw-float16": 0.9, "ivf_flat": 0.8, "ivf_flat+pca+refine": 0.75, "ivf_pq": 0.5, "ivf_pq+opq+refine": 0.75,
    "ivf_pq-fast": 0.4,    "ivf_pq-fast+refine-int8": 0.7, "lsh": 0.4, "lsh+refine": 0.8,
}  # fmt: skip
"""recall@10 that each of them has to reach on `clustered`."""


def clustered(count: int, seed: int, width: int = WIDTH) -> NDArray[np.float32]:
    """`[count, width]` unit vectors around 32 centres that are the same for every seed, of falling variance.

    As real keys are: neighbours exist, and the last dimensions say little.
    """
    centres = np.random.default_rng(0).standard_normal((32, width))
    rng = np.random.default_rng(seed)
    spread = 0.97 ** np.arange(width) if width > 64 else 0.85 ** np.arange(width)
    made = (centres[rng.integers(0, 32, count)] + 0.6 * rng.standard_normal((count, width))) * spread
    unit: NDArray[np.float32] = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


def recall(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), truth.tolist(), strict=True)]))
