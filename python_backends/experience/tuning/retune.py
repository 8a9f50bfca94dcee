"""Tuning of an index that serves: on what it holds and was asked last, in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import GateFailed
from pixelis.index_config import IndexConfig, Storage
from python_backends.experience.aside import Aside, Block
from python_backends.experience.aside.gently import gently
from python_backends.experience.indexes import FaissIndex
from python_backends.experience.tuning.choice import Limits, choose
from python_backends.experience.tuning.grid import Grid
from python_backends.experience.tuning.truth import Split
from python_backends.experience.tuning.tune import tune

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]
Tuner = Callable[[FaissIndex, Vectors, Aside, Callable[[], None]], "IndexConfig | None"]

MOST = 50_000
"""Stored vectors, evenly spaced, that are tuned on."""
ENOUGH = 32
"""Queries that were really asked; with fewer, stored vectors are held out."""
HELD_OUT = 200
K = 10
SLICE = 256
SHARE = 0.25
"""Of the time in which it is tuned: nobody waits for it, and what it measures are medians."""

SERVING: tuple[Grid, ...] = (
    Grid(kind="flat"),
    Grid(kind="flat", pca=[64], refine=[Storage.FLOAT32], factors=[2, 8, 32]),
    Grid(
        kind="ivf_pq",
        built={"lists": [64, 256, 1024], "bits": [4], "fast_scan": [True]},
        searched={"probes": [1, 2, 4, 8, 16, 32, 64]},
        subvector=[2],
        pca=[64, 128],
        refine=[Storage.FLOAT32],
        factors=[8, 16, 32],
    ),
    Grid(
        kind="hnsw",
        built={"m": [16], "ef_construction": [100]},
        searched={"ef_search": [16, 32, 64, 128, 256]},
        pca=[128],
        refine=[Storage.FLOAT32],
        factors=[2, 4, 8],
    ),
)
"""One of each way, after `pixelis bench knn` on the keys of this pipeline."""


def retuner(limits: Limits, grids: Sequence[Grid] = SERVING) -> Tuner:
    """A tuner for `LiveIndex`: the fastest that reaches the recall; where nothing does, the index stays what it is.

    It tunes in a process of its own.
    """

    def retune(base: FaissIndex, queries: Vectors, aside: Aside, between: Callable[[], None]) -> IndexConfig | None:
        stored = (vectors for _, vectors in base.slices(SLICE, MOST))
        job = {
            "task": "tune",
            "limits": limits.model_dump(mode="json"),
            "grids": [grid.model_dump(mode="json") for grid in grids],
        }
        with Block(queries.shape[1], gently(stored, between)) as block, Block(queries.shape[1], [queries]) as asked:
            found = aside.run(job, [block, asked], between, share=SHARE)["config"]
        return IndexConfig.model_validate(found) if found is not None else None

    return retune


def chosen(stored: Vectors, queries: Vectors, limits: Limits, grids: Sequence[Grid]) -> IndexConfig | None:
    """The fastest for `stored` `[n, D]` and `queries` `[q, D]`, where these are enough; none where nothing will do."""
    split = Split(stored, queries) if len(queries) >= ENOUGH else Split.held_out(stored, HELD_OUT)
    try:
        found = choose(tune(split, K, grids), limits)
    except GateFailed as error:
        log.warning("the index was not tuned: %s", error)
        return None
    log.info("the index is tuned: %s, recall %.3f", found.config.label, found.recall)
    return found.config
