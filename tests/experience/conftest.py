"""Small keys, so that a store of them is quick to make."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pixelis.schema import Experience
from pixelis.settings import Retrieval
from python_backends.experience import ExperienceStore
from python_backends.experience.database import FILE

WIDTH = 8


def key(seed: int, width: int = WIDTH) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).standard_normal(width)
    unit: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


def experience(answer: str = "red", confidence: float = 0.8, reward: float = 0.0, **fields: object) -> Experience:
    values = {"experience_id": "", "question": "What?", "created_at": time.time(), **fields}
    return Experience(answer=answer, confidence=confidence, reward=reward, **values)  # type: ignore[arg-type]


class Place:
    """A directory in which stores are opened, one after the other, as by restarts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stores: list[ExperienceStore] = []

    def open(self, capacity: int = 100, cold: int = 0, seeds: Path | None = None, every: int = 1000) -> ExperienceStore:
        config = Retrieval(capacity=capacity, cold_start_threshold=cold)
        self.stores.append(ExperienceStore(self.path, config, seeds, width=WIDTH, snapshot_every=every))
        return self.stores[-1]

    def snapshots(self) -> list[Path]:
        return sorted(self.path.glob("experiences-*.snapshot"))

    @property
    def database(self) -> Path:
        return self.path / FILE

    def closed(self) -> Path:
        """The database, with everything in it that was written."""
        while self.stores:
            self.stores.pop().close()
        return self.database


def picture(store: ExperienceStore) -> list[tuple[object, ...]]:
    """Everything that a search can say, in an order of its own."""
    found = store.search(key(5)[None], 1000).neighbours[0]
    return sorted(
        (n.experience_id, n.answer, round(n.similarity, 6), n.retrieval_count, n.success_count) for n in found
    )


def fill(store: ExperienceStore, count: int, start: int = 0) -> list[str]:
    return [store.insert(experience(str(i), confidence=i / 1000), key(i)) for i in range(start, start + count)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "experiences")
    yield made
    for store in made.stores:
        store.close()
