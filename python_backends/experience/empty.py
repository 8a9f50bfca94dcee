"""A memory with nothing in it, whose index is as configured or as it was chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from numpy import float32
from numpy.typing import NDArray

from pixelis.index_config import IndexConfig
from pixelis.settings import Retrieval
from python_backends.experience import chosen
from python_backends.experience.aside import Aside
from python_backends.experience.asked import AskedRequests
from python_backends.experience.indexes import FaissIndex
from python_backends.experience.key import WIDTH
from python_backends.experience.live import Tuner
from python_backends.experience.memory import Memory
from python_backends.experience.population import Population
from python_backends.experience.tuning.choice import Limits
from python_backends.experience.tuning.retune import retuner


def empty(
    directory: Path, config: Retrieval, width: int = WIDTH, threads: int = 1, retune: bool | None = None
) -> Memory:
    """An empty memory.

    Args:
        directory: where a choice of index lies, or will.
        config: index, feedback requests and when to tune are read.
        width: D of the keys.
        threads: of the index, for batches.
        retune: whether the index is chosen again in the background; none = as configured.

    Raises:
        SetupError: the choice cannot be read.
    """
    retune = config.retune if retune is None else retune
    tuner = _tuner(directory, config) if retune and config.index is None else None
    population = Population(width, threads, config.index or chosen.read(directory), config.live, tuner)
    return Memory(population, AskedRequests(config.feedback_requests))


def _tuner(directory: Path, config: Retrieval) -> Tuner:
    """Chooses, and remembers what it chose for the next start."""
    choose = retuner(Limits(recall=config.recall))

    def tune(
        base: FaissIndex, queries: NDArray[float32], aside: Aside, between: Callable[[], None]
    ) -> IndexConfig | None:
        found = choose(base, queries, aside, between)
        if found is not None:
            chosen.write(directory, found)
        return found

    return tune
