"""What each name means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perf.knn.data.crops import crop_keys
from perf.knn.data.glove import glove
from perf.knn.data.projected import projected
from perf.knn.data.sift import sift
from pixelis.errors import InvalidRequest
from python_backends.experience.tuning import Split

Watch = Callable[[str], None]


@dataclass(frozen=True)
class Dataset:
    """Vectors of length 1 to be found among, and queries that are none of them.

    Attributes:
        name: among `DATASETS`.
        about: what they are, in a few words.
        split: the vectors.
    """

    name: str
    about: str
    split: Split

    def first(self, count: int) -> Split:
        """The first `count` stored vectors; they are in random order."""
        return Split(np.ascontiguousarray(self.split.stored[:count]), self.split.queries)


@dataclass(frozen=True)
class _Source:
    about: str
    load: Callable[[Path, int, int, Watch], Split]
    stored: int
    queries: int = 1000


DATASETS: dict[str, _Source] = {
    "keys": _Source("keys of this pipeline: crops and clip frames, and questions, x 1664", crop_keys, 100_000),
    "keys-512": _Source(
        "keys of this pipeline: crops and clip frames, and questions, by PCA x 512", projected(crop_keys, 512), 100_000
    ),
    "glove": _Source("GloVe 6B word vectors x 50", glove, 100_000),
    "glove-400k": _Source("GloVe 6B word vectors x 50", glove, 399_000),
    "sift-1m": _Source("SIFT descriptors of photographs and clip frames x 128", sift, 1_000_000),
}


def load(name: str, state: Path, watch: Watch = lambda _: None, count: int | None = None) -> Dataset:
    """A data set by name.

    Args:
        name: one of `DATASETS`.
        state: where what was computed is kept.
        watch: told what is going on.
        count: fewer stored vectors than it has.

    Raises:
        InvalidRequest: there is none of that name.
        SetupError: a package or a built model is missing.
    """
    if name not in DATASETS:
        raise InvalidRequest(f"There is no data set {name!r}.", mend=f"There are {', '.join(DATASETS)}.")
    source = DATASETS[name]
    split = source.load(state, min(count or source.stored, source.stored), source.queries, watch)
    return Dataset(name, source.about, Split(unit(split.stored), unit(split.queries)))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each at length 1, as keys are."""
    made: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(made, np.float32)
