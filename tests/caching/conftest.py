"""Keys, caches, and a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pixelis.cache_config import Cached
from pixelis.cache_config import RedisTier as RedisConfig
from python_backends.caching import Cache, Key
from python_backends.caching.codec import JsonCodec
from python_backends.caching.redis_link import RedisLink
from tests.redis_server import Server, running


def key(number: int, versions: dict[str, str] | None = None, prefix: str = "thing") -> Key:
    return Key.of(prefix, versions or {}, number=number)


TEXT: JsonCodec[str] = JsonCodec(str)
Make = Callable[..., "Cache[str]"]


def cache(tiers: Any = (), locks: Any = None, **config: Any) -> Cache[str]:
    return Cache("thing", TEXT, Cached(**config), tiers, locks)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis for the tests that leave it as it is."""
    with running(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture
def redis(shared: Server) -> Server:
    """The same, empty."""
    shared.client.flushall()
    return shared


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A Redis that a test may break."""
    (tmp_path / "redis").mkdir()
    with running(tmp_path / "redis") as made:
        yield made


def link(server: Server, **config: Any) -> RedisLink:
    return RedisLink(server.url, RedisConfig(**config))
