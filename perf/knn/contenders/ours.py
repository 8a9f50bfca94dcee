"""Our indexes, as they serve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from perf.knn.contenders.contender import Ids, Plan, Setting, Vectors
from pixelis.index_config import IndexConfig, IvfPq
from python_backends.experience.indexes import FaissIndex, open_index
from python_backends.experience.tuning import Grid
from python_backends.experience.tuning.truth import fill

LIBRARY = "pixelis"
EXACT = "exact"


class Ours:
    """A `FaissIndex` as a contender."""

    def __init__(self, index: FaissIndex) -> None:
        self.index = index

    def set(self, setting: Setting) -> None:
        """See `Contender.set`; the setting is a whole configuration."""
        if setting:
            self.index.adjust(IndexConfig.model_validate(setting["config"]))

    def search(self, queries: Vectors, k: int) -> Ids:
        """See `Contender.search`."""
        return self.index.search(queries, k)[1]

    def size_bytes(self) -> int:
        """See `Contender.size_bytes`."""
        return self.index.size_bytes()


def exact() -> Plan:
    """The exact index."""
    return Plan(EXACT, "exact (flat)", "exact", partial(_build, IndexConfig()), [[{}]])


def ours(grids: Sequence[Grid], count: int, width: int) -> Iterator[Plan]:
    """Everything in the grids that fits."""
    for grid in grids:
        for config in grid.builds(count, width):
            chains = [[_setting(one) for one in chain] for chain in grid.searches(config)]
            yield Plan(LIBRARY, config.label, family(config), partial(_build, config), chains)


def family(config: IndexConfig) -> str:
    """Its kind, whatever stands around it."""
    fast = isinstance(config.index, IvfPq) and config.index.fast_scan
    return f"{LIBRARY} {config.index.kind}{' fast-scan' if fast else ''}"


def _build(config: IndexConfig, vectors: Vectors, threads: int) -> Ours:
    """Built on `threads`; searched on one, as those queries come that ask alone."""
    built = fill(open_index(config, vectors.shape[1], threads), vectors)
    built.limit(1)
    return Ours(built)


def _setting(config: IndexConfig) -> Setting:
    return {**config.searching(), "config": config.model_dump(mode="json")}
