"""`pixelis cache`, on what a process wrote, a real Redis and a disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from pixelis.cache_config import Cache as CacheConfig
from pixelis.cache_config import Cached
from pixelis.cli import app
from pixelis.errors import Unavailable
from pixelis.settings import Settings
from pixelis.settings import settings as current
from python_backends.caching.caches import Caches
from python_backends.caching.operating import THINGS, clear, stats
from python_backends.caching.orders import Order
from tests.caching.conftest import TEXT, key
from tests.redis_server import Server, wait


def test_every_thing_is_a_section_of_the_settings() -> None:
    sections = {name for name, field in CacheConfig.model_fields.items() if field.annotation is Cached}
    assert set(THINGS) == sections


def test_stats_and_clear_reach_every_tier(redis: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("diskcache", reason="the package diskcache is not installed: make setup-dev")
    monkeypatch.setattr("python_backends.caching.caches.TICK_S", 0.02)
    section = Cached(disk_bytes=2**20)
    cache = CacheConfig(enable_redis=True, redis_url=SecretStr(redis.url), request=section)
    config = Settings(state=tmp_path, cache=cache)
    caches = Caches(config, "reason_0")
    made = caches.open("request", TEXT, section)
    told: list[str | None] = []
    caches.tell(told.append)
    caches.start(None, lambda _: True)
    old, new = (key(1, {"policy": version}, "request") for version in "34")
    made.put(old, "old")
    made.put(new, "new")
    wait(lambda: "reason_0" in stats(config)["processes"])
    shared = {(one["cache"], one["tier"]): one["entries"] for one in stats(config)["shared"]}
    assert (shared["request", "redis"], shared["request", "disk"], shared["image", "redis"]) == (2, 2, 0)
    assert clear(config, Order(prefix="request", version="policy-3")) == {"redis": 1, "disk": 1}
    wait(lambda: made.get(old) is None)
    wait(lambda: told == ["request"])
    assert made.get(new) == "new"
    caches.close()


def test_a_redis_that_is_away_is_said(own: Server, tmp_path: Path) -> None:
    config = Settings(state=tmp_path, cache=CacheConfig(enable_redis=True, redis_url=SecretStr(own.url)))
    assert clear(config, Order()) == {"redis": 0}
    own.stop()
    with pytest.raises(Unavailable, match="redis"):
        clear(config, Order())
    assert len(list((tmp_path / "caches" / "orders").glob("*.json"))) == 2


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("PIXELIS_STATE", str(tmp_path))
    current.cache_clear()
    return CliRunner()


def test_the_commands(run: CliRunner, tmp_path: Path) -> None:
    assert "is a server running" in run.invoke(app, ["cache", "stats"]).output
    assert json.loads(run.invoke(app, ["cache", "stats", "--json"]).output) == {"processes": {}, "shared": []}
    done = run.invoke(app, ["cache", "clear", "--thing", "text"])
    assert (done.exit_code, "within a second" in done.output) == (0, True)
    assert len(list((tmp_path / "caches" / "orders").glob("*.json"))) == 1
    for wrong in (["--thing", "words"], ["--version", "policy"]):
        assert run.invoke(app, ["cache", "clear", *wrong]).exit_code == 1
    current.cache_clear()
