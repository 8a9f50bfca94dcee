"""A real Redis, and stores that share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pixelis.settings import Replicas, Retrieval
from python_backends.experience import ExperienceStore
from tests.experience.conftest import WIDTH
from tests.redis_server import Server, running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "redis").mkdir()
    with running(tmp_path / "redis") as made:
        yield made


Open = Callable[..., ExperienceStore]


@pytest.fixture
def opened(server: Server, tmp_path: Path) -> Iterator[Open]:
    """Opens the store of a replica by its name."""
    stores: list[ExperienceStore] = []

    def open_store(name: str, capacity: int = 100, seeds: Path | None = None, **fields: object) -> ExperienceStore:
        shared = Replicas.model_validate({"url": server.url, "read_timeout_s": 5.0, **fields})
        config = Retrieval(capacity=capacity, cold_start_threshold=0, replicas=shared)
        stores.append(ExperienceStore(tmp_path / name, config, seeds, width=WIDTH, snapshot_every=20))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()
