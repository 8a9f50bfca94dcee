"""The memory tier: bounds, times, and which entries stay."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelis.cache_config import Cached
from python_backends.caching.memory import MemoryTier
from python_backends.caching.reuse import ReuseDistance
from python_backends.caching.sketch import Sketch
from tests.caching.conftest import Clock, key

BOTH = pytest.mark.parametrize("policy", ["lru", "tinylfu"])


def get(tier: MemoryTier, number: int) -> bytes | None:
    return tier.get_many([key(number)]).get(key(number).name)


@given(
    st.sampled_from(["lru", "tinylfu"]),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3000), st.booleans()), max_size=80),
    st.integers(1, 12),
)
def test_no_bound_is_ever_exceeded_and_no_value_is_wrong(
    policy: str, steps: list[tuple[int, int, bool]], entries: int
) -> None:
    tier = MemoryTier(Cached(policy=policy, entries=entries, bytes=10_000))  # type: ignore[arg-type]
    newest: dict[int, bytes] = {}
    held = 0
    for number, size, put in steps:
        if put:
            newest[number] = bytes([number]) * size
            tier.put(key(number), newest[number])
        else:
            assert get(tier, number) in (None, newest.get(number))
        held, size_held, by = tier.held()
        assert held <= entries
        assert size_held <= 10_000
        assert by.get("thing", 0) == size_held
    assert tier.clear() == held
    assert tier.held() == (0, 0, {})


@given(st.lists(st.integers(0, 12), max_size=200))
def test_lru_is_lru(asked: list[int]) -> None:
    tier = MemoryTier(Cached(policy="lru", entries=5, bytes=5000))
    model: OrderedDict[int, None] = OrderedDict()
    for number in asked:
        assert (get(tier, number) is not None) == (number in model)
        tier.put(key(number), b"x")
        model[number] = None
        model.move_to_end(number)
        if len(model) > 5:
            model.popitem(last=False)


def test_what_is_asked_for_often_outlives_a_scan() -> None:
    lfu, lru = (MemoryTier(Cached(policy=p, entries=200, bytes=200_000)) for p in ("tinylfu", "lru"))  # type: ignore[arg-type]
    for tier in (lfu, lru):
        for _ in range(4):
            for number in range(100):
                if get(tier, number) is None:
                    tier.put(key(number), b"x")
        for number in range(1000, 3000):  # each once
            if get(tier, number) is None:
                tier.put(key(number), b"x")
    assert sum(get(lfu, n) is not None for n in range(100)) >= 95
    assert sum(get(lru, n) is not None for n in range(100)) == 0
    assert lfu.counts.snapshot()["refused"] > 1500


def test_tinylfu_follows_when_habits_change() -> None:
    tier = MemoryTier(Cached(entries=100, bytes=100_000))
    rng = np.random.default_rng(0)
    for base in (0, 1000):
        hits = 0
        for step in range(6000):
            number = base + int(rng.integers(0, 90))
            if get(tier, number) is None:
                tier.put(key(number), b"x")
            elif step >= 5000:
                hits += 1
        assert hits > 900


def test_the_hit_rate_under_zipf_is_near_the_best_and_above_lru() -> None:
    rng = np.random.default_rng(1)
    weights = 1 / np.arange(1, 2001)
    asked = rng.choice(2000, size=30_000, p=weights / weights.sum()).tolist()
    names, rates = [key(number) for number in range(2000)], {}
    for policy in ("lru", "tinylfu"):
        tier = MemoryTier(Cached(policy=policy, entries=200, bytes=200_000))  # type: ignore[arg-type]
        hits = 0
        for number in asked:
            if tier.get_many([names[number]]):
                hits += 1
            else:
                tier.put(names[number], b"x")
        rates[policy] = hits / len(asked)
    assert rates["tinylfu"] > rates["lru"] + 0.03


@BOTH
def test_entries_end_in_their_time(policy: str) -> None:
    clock = Clock()
    tier = MemoryTier(Cached(policy=policy, ttl_s=10), clock)  # type: ignore[arg-type]
    tier.put(key(1), b"a")
    tier.put(key(2), b"b", age_s=6)
    tier.put(key(3), b"c", age_s=10)
    clock.now += 3.9
    assert [get(tier, n) for n in (1, 2, 3)] == [b"a", b"b", None]
    assert [round(age, 3) for _, age in sorted(tier.entries(), key=lambda one: one[1])] == [3.9, 9.9]
    clock.now += 0.1
    assert [get(tier, n) for n in (1, 2)] == [b"a", None]
    assert tier.peek(key(1)) == b"a"
    clock.now += 6
    assert tier.peek(key(1)) is None
    assert get(tier, 1) is None
    assert tier.counts.snapshot()["expiries"] == 2


@BOTH
def test_clearing_by_prefix_and_version(policy: str) -> None:
    tier = MemoryTier(Cached(policy=policy))  # type: ignore[arg-type]
    for number in range(3):
        tier.put(key(number, {"policy": "3"}, "request"), b"x")
        tier.put(key(number, {"policy": "4", "knn": "3"}, "request"), b"x")
        tier.put(key(number, prefix="text"), b"x")
    assert tier.clear("text", "policy-3") == 0
    assert tier.clear("request", "policy-3") == 3
    assert tier.clear(version="knn-3") == 3
    assert tier.held()[2].keys() == {"text"}
    assert tier.clear("text") == 3


@BOTH
def test_many_threads(policy: str) -> None:
    tier, wrong = MemoryTier(Cached(policy=policy, entries=20, bytes=20_000)), []  # type: ignore[arg-type]

    def work(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(0, 60, 400).tolist():
            found = get(tier, number)
            if found not in (None, bytes([number])):
                wrong.append(found)
            tier.put(key(number), bytes([number]))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = tier.counts.snapshot()
    assert not wrong
    assert counts["hits"] + counts["misses"] == counts["lookups"] == counts["buckets"][-1] == 3200
    assert tier.held()[0] <= 20


def test_the_sketch_never_counts_too_low_and_ages() -> None:
    sketch, rng = Sketch(100), np.random.default_rng(0)
    numbers = [int.from_bytes(rng.bytes(16), "little") for _ in range(50)]
    for times, number in enumerate(numbers):
        for _ in range(times % 15):
            sketch.add(number)
    assert all(sketch.count(number) >= times % 15 for times, number in enumerate(numbers))
    before = sum(sketch.count(number) for number in numbers)
    for _ in range(1000):
        sketch.add(int.from_bytes(rng.bytes(16), "little"))
    assert sum(sketch.count(number) for number in numbers) < before


@given(st.lists(st.integers(0, 30), max_size=150))
def test_reuse_distances_are_exact_while_all_is_followed(asked: list[int]) -> None:
    reuse, last, want = ReuseDistance(), dict[int, int](), dict[int, int]()
    for place, number in enumerate(asked):
        reuse.asked(number)
        if number in last:
            distance = len(set(asked[last[number] + 1 : place]))
            want[distance.bit_length()] = want.get(distance.bit_length(), 0) + 1
        last[number] = place
    assert list(reuse.histogram().values()) == [want[bits] for bits in sorted(want)]


def test_sampled_reuse_distances_are_near() -> None:
    reuse, rng = ReuseDistance(most=256), np.random.default_rng(0)
    numbers = [int.from_bytes(rng.bytes(16), "little") for _ in range(4000)]
    for _ in range(4):
        for number in numbers:  # every distance is 3999
            reuse.asked(number)
    assert set(reuse.histogram()) <= {"2048-4095", "4096-8191"}
    assert sum(reuse.histogram().values()) == pytest.approx(12_000, rel=0.25)
