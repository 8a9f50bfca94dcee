"""From which number of vectors on a trained index is faster than comparing with all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perf.knn.contenders.ours import EXACT, LIBRARY, exact, ours
from perf.knn.data import Dataset
from perf.knn.sweep import K, sweep
from pixelis.index_config import Storage
from python_backends.experience.tuning import Grid, Truth

SIZES = (500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
FULL = [Storage.FLOAT32]
TRAINED: tuple[Grid, ...] = (
    Grid(kind="flat", pca=[64], refine=FULL, factors=[2, 4, 8, 16, 32]),
    Grid(
        kind="ivf_pq",
        built={"lists": [16, 64, 256], "bits": [4], "fast_scan": [True]},
        searched={"probes": [1, 2, 4, 8, 16, 32, 64]},
        subvector=[2],
        pca=[0, 64, 128],
        refine=FULL,
        factors=[8, 16, 32],
    ),
    Grid(
        kind="hnsw",
        built={"m": [16], "ef_construction": [100]},
        searched={"ef_search": [16, 32, 64, 128, 256]},
        pca=[0, 64],
        refine=FULL,
        factors=[2, 4, 8],
    ),
)
"""One good index of each way."""


def crossover(
    data: Dataset, target: float, threads: int, watch: Callable[[str], None], sizes: Sequence[int] = SIZES
) -> list[dict[str, Any]]:
    """A row for each size: exact search, and the fastest trained index that reaches `target`."""
    rows = []
    for size in sizes:
        if size > len(data.split.stored):
            break
        watch(f"{size} vectors")
        split = data.first(size)
        plans = [exact(), *ours(TRAINED, size, split.width)]
        best = sweep(plans, split, Truth(split, K), target, threads, lambda _: None).best
        flat, trained = best[EXACT].row, best.get(LIBRARY)
        rows.append(
            {
                "vectors": size,
                "exact_ms": flat["p50_ms"],
                "trained": trained.row["index"] if trained else None,
                "trained_ms": trained.row["p50_ms"] if trained else None,
                "recall": trained.row["recall"] if trained else None,
                "build_s": trained.row["build_s"] if trained else None,
                "faster": round(flat["p50_ms"] / trained.row["p50_ms"], 2) if trained else None,
            }
        )
    return rows


def crossed(rows: Sequence[dict[str, Any]]) -> int | None:
    """The least size from which on the trained index is faster at every size measured; none where it never is."""
    found = None
    for row in reversed(rows):
        if row["faster"] is None or row["faster"] <= 1:
            break
        found = row["vectors"]
    return found
