"""The caches of a process: warm starts, orders, metrics, statistics, and whose version answers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from pixelis.cache_config import Cache as CacheConfig
from pixelis.cache_config import Cached
from pixelis.settings import Settings
from python_backends.caching import Cache
from python_backends.caching.caches import FOLDER, Caches
from python_backends.caching.orders import Order, Orders, give
from python_backends.caching.origin import Origins
from python_backends.caching.report import CacheMetrics
from python_backends.caching.snapshot import load, save
from tests.caching.conftest import TEXT, cache, key
from tests.redis_server import wait


class Counters:
    """What a metrics server would hold."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}
        self.messages = 0

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        self.messages += 1
        name_and_labels = (name, *labels.values())
        self.values[name_and_labels] = self.values.get(name_and_labels, 0) + amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.messages += 1
        self.values[(name, *labels.values())] = value


def opened(state: Path, still: Any = lambda _: True, **config: Any) -> tuple[Caches, Cache[str]]:
    caches = Caches(Settings(state=state, cache=CacheConfig(**config)), "reason_0")
    made = caches.open("thing", TEXT, Cached())
    caches.start(None, still)
    return caches, made


def test_what_was_in_memory_is_there_after_a_restart_but_for_versions_that_changed(tmp_path: Path) -> None:
    caches, made = opened(tmp_path)
    old, new = key(1, {"policy": "3"}), key(2, {"policy": "4"})
    made.put(old, "old")
    made.put(new, "new")
    caches.close()
    again, warm = opened(tmp_path, lambda versions: versions == "policy-4")
    assert (warm.get(old), warm.get(new)) == (None, "new")
    again.close()


def test_time_goes_on_between_two_lives(tmp_path: Path) -> None:
    config = Settings(state=tmp_path)
    for lived in (0, 1):
        caches = Caches(config, "a")
        made = caches.open("thing", TEXT, Cached(ttl_s=0.5))
        caches.start(None, lambda _: True)
        if not lived:
            made.put(key(1), "x")
            caches.close()
            time.sleep(0.6)
    assert made.get(key(1)) is None
    caches.close()


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-5], lambda data: data[:40] + b"!" + data[41:], lambda _: b"x" * 99]
)
def test_a_damaged_snapshot_costs_what_is_behind_the_damage(tmp_path: Path, damage: Any) -> None:
    caches, made = opened(tmp_path)
    for number in range(3):
        made.put(key(number), "value")
    caches.close()
    (path,) = (tmp_path / FOLDER / "memory").iterdir()
    path.write_bytes(damage(path.read_bytes()))
    again, warm = opened(tmp_path)
    assert sum(warm.get(key(number)) == "value" for number in range(3)) < 3
    again.close()


def test_a_snapshot_from_the_future_is_not_used(tmp_path: Path) -> None:
    """The clock was set back while no server ran."""
    path, now = tmp_path / "snapshot", time.time()
    made, early, late = cache(), cache(), cache(ttl_s=10)
    made.put(key(1), "value")
    save(made.memory, path, now)
    assert load(early.memory, path, now - 3600, lambda _: True) == 0
    assert (early.get(key(1)), early.memory.counts.snapshot()["errors"]) == (None, 1)
    load(late.memory, path, now + 3600, lambda _: True)
    assert late.get(key(1)) is None, "nor after it was set on, where its time is over"


def test_without_snapshots_and_where_they_cannot_be_written(tmp_path: Path) -> None:
    caches, made = opened(tmp_path, snapshot=False)
    made.put(key(1), "x")
    caches.close()
    assert not (tmp_path / FOLDER / "memory").exists()
    (tmp_path / "file").write_text("")
    caches, made = opened(tmp_path / "file")
    made.put(key(1), "x")
    caches.close()


def test_cache_size_0_switches_everything_off(tmp_path: Path) -> None:
    caches, made = opened(tmp_path, cache_size=0, enable_redis=True)
    assert not made.on
    assert made.get_or(key(1), lambda: "x") == ("x", False)
    caches.close()


def test_orders_reach_a_running_process_and_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("python_backends.caching.caches.TICK_S", 0.02)
    caches, made = opened(tmp_path)
    made.put(key(1, {"policy": "3"}), "x")
    made.put(key(2, {"policy": "4"}), "y")
    give(tmp_path / FOLDER, Order(version="policy-3"))
    wait(lambda: made.get(key(1, {"policy": "3"})) is None)
    assert made.get(key(2, {"policy": "4"})) == "y"
    caches.close()
    give(tmp_path / FOLDER, Order())
    again, warm = opened(tmp_path)
    assert warm.get(key(2, {"policy": "4"})) is None
    again.close()


def test_an_order_is_carried_out_once_and_garbage_is_passed_over(tmp_path: Path) -> None:
    orders = Orders(tmp_path, time.time_ns())
    given = give(tmp_path, Order(prefix="text"))
    (given.parent / f"{time.time_ns()}.json").write_text("{")
    assert orders.new() == [Order(prefix="text")]
    assert orders.new() == []
    assert Orders(tmp_path, time.time_ns()).new() == []


def test_an_order_is_heard_after_the_clock_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    orders = Orders(tmp_path, now)
    monkeypatch.setattr(time, "time_ns", lambda: now - 3600 * 10**9)
    give(tmp_path, Order(prefix="text"))
    assert orders.new() == [Order(prefix="text")]


def test_metrics_are_what_was_counted_and_only_changes_are_sent() -> None:
    counters, made = Counters(), cache()
    metrics = CacheMetrics(counters)
    for number in (1, 2, 1):
        made.get_or(key(number), lambda: "x")
    metrics.publish([made])
    value = counters.values
    assert value["pixelis_cache_hits_total", "thing", "memory"] == 1
    assert value["pixelis_cache_misses_total", "thing", "memory"] == 2
    assert value["pixelis_cache_computed_total", "thing"] == 2
    assert value["pixelis_cache_entries", "thing", "memory"] == 2
    assert value["pixelis_cache_bytes", "thing", "memory"] > 0
    assert value["pixelis_cache_lookup_seconds_bucket", "thing", "memory", "+Inf"] == 3
    assert value["pixelis_cache_lookup_seconds_count", "thing", "memory"] == 3
    assert 0 < value["pixelis_cache_lookup_seconds_sum", "thing", "memory"] < 1
    sent = counters.messages
    metrics.publish([made])
    assert counters.messages == sent
    made.get(key(1))
    metrics.publish([made])
    assert value["pixelis_cache_hits_total", "thing", "memory"] == 2


def test_operators_find_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("python_backends.caching.caches.TICK_S", 0.02)
    caches, made = opened(tmp_path)
    made.get_or(key(1), lambda: "x")
    path = tmp_path / FOLDER / "stats" / "reason_0.json"
    wait(lambda: path.exists() and json.loads(path.read_text())["caches"]["thing"]["asked"] == 1)
    caches.close()


def version(repository: Path, model: str, number: int, manifest: str = "{}") -> None:
    folder = repository / model / str(number)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest)


def test_the_origin_follows_versions_manifests_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version(tmp_path / "a", "policy", 2)
    version(tmp_path / "b", "policy", 2, '{"other": 1}')
    origins = Origins(tmp_path / "a")
    first = origins.of(["policy"], {"max_len": 5})
    assert first is not None
    assert first.versions == {"policy": "2"}
    assert origins.of(["policy"], {"max_len": 5}) == first
    assert origins.of(["policy"], {"max_len": 6}) != first
    assert Origins(tmp_path / "b").of(["policy"], {"max_len": 5}) != first, "a repository that was built anew"
    assert origins.of(["policy", "absent"]) is None
    version(tmp_path / "a", "policy", 3)
    third = origins.of(["policy"], {"max_len": 5})
    assert third is not None
    assert third.versions == {"policy": "3"}
    monkeypatch.setattr("python_backends.caching.origin.__version__", "another")
    assert origins.of(["policy"], {"max_len": 5}) != third, "a value that another version of this program wrote"


def test_the_origin_covers_what_a_process_read_of_an_artifact_when_it_started(tmp_path: Path) -> None:
    for number, profile in ((2, "old"), (3, "old"), (4, "new")):
        version(tmp_path, "policy", number)
        (tmp_path / "policy" / str(number) / "pixelis.json").write_text(profile)
    started = []
    for number in (2, 3, 4):
        started.append(Origins(tmp_path))
        started[-1].reads("policy", tmp_path / "policy" / str(number))
    first, second, third = (origins.of(["policy"]) for origins in started)
    assert first == second != third, "all ask version 4, and the last one in other words"
    assert Origins(tmp_path).of(["policy"]) not in (first, third)


def test_a_version_that_is_not_loaded_yet_has_no_origin(tmp_path: Path) -> None:
    served = {("policy", "2")}
    origins = Origins(tmp_path, lambda *one: one in served)
    version(tmp_path, "policy", 2)
    assert origins.of(["policy"]) is not None
    version(tmp_path, "policy", 3)
    assert origins.of(["policy"]) is None
    served.add(("policy", "3"))
    assert origins.of(["policy"]) is not None
