"""Build what a grid lists, and measure it at every setting."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pixelis.errors import InvalidRequest
from pixelis.index_config import IndexConfig
from python_backends.experience.indexes import open_index
from python_backends.experience.tuning.grid import GRIDS, Grid
from python_backends.experience.tuning.trial import Trial, attempt
from python_backends.experience.tuning.truth import Split, Truth, fill

THOROUGH = 0.999
"""Recall from which more thorough settings of the same index are not measured any more."""

Watch = Callable[[str], None]


def tune(
    split: Split,
    k: int = 10,
    grids: Sequence[Grid] = GRIDS,
    threads: int = 1,
    watch: Watch = lambda _: None,
    between: Callable[[], None] = lambda: None,
) -> list[Trial]:
    """Trials of everything that the grids list, in their order.

    Args:
        split: what is stored and what is asked.
        k: neighbours that a query asks for; there must be as many.
        grids: what is tried; all are measured, also those that cannot be chosen in the end.
        threads: to build with; what is timed takes one.
        watch: told what is being built.
        between: called now and then; what it raises ends the tuning.

    Raises:
        InvalidRequest: fewer than k vectors are stored, or nobody asks.
    """
    if len(split.stored) < k or not len(split.queries):
        raise InvalidRequest(
            f"{len(split.stored)} vectors and {len(split.queries)} queries, and {k} neighbours each.",
            mend="Take more vectors, or a smaller k.",
        )
    truth = Truth(split, k, threads)
    trials: list[Trial] = []
    for grid in grids:
        for config in grid.builds(len(split.stored), split.width):
            watch(config.label)
            trials += _tried(grid, config, split, truth, threads, between)
    return trials


def builds(split: Split, grids: Sequence[Grid]) -> int:
    """How many indexes `tune` will build."""
    return sum(1 for grid in grids for _ in grid.builds(len(split.stored), split.width))


def _tried(
    grid: Grid, config: IndexConfig, split: Split, truth: Truth, threads: int, between: Callable[[], None]
) -> list[Trial]:
    start = time.perf_counter()
    index = fill(open_index(config, split.width, threads), split.stored, between)
    build_s = time.perf_counter() - start
    size = index.size_bytes()
    made: list[Trial] = []
    for chain in grid.searches(config):
        for setting in chain:
            between()
            index.adjust(setting)
            made.append(attempt(index, split.queries, truth, size, build_s))
            if made[-1].recall >= THOROUGH:
                break
    return made
