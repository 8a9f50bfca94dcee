"""The memory of searches: never behind the store, never beyond its budget."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pixelis.cache_config import Cached
from pixelis.errors import InvalidRequest
from pixelis.schema import KnnCommand
from python_backends.caching.cache import Cache
from python_backends.experience import ExperienceStore, KnnReply, KnnRequest, execute
from python_backends.experience.search_cache import CODEC, MOST_OFF, SearchCache, steps_per_unit
from tests.experience.conftest import WIDTH, Place, experience, key


def counted(cache: SearchCache) -> tuple[int, int]:
    """Searches that were found, and that were not, since the last time this was asked."""
    now = cache._cache.memory.counts.snapshot()
    before = COUNTED.get(id(cache), (0, 0))
    COUNTED[id(cache)] = (now["hits"], now["misses"])
    return now["hits"] - before[0], now["misses"] - before[1]


COUNTED: dict[int, tuple[int, int]] = {}


@pytest.fixture(autouse=True)
def _afresh() -> None:
    COUNTED.clear()


def filled(place: Place, count: int = 10) -> ExperienceStore:
    store = place.open()
    for seed in range(count):
        store.insert(experience(str(seed)), key(seed))
    return store


def ask(cache: SearchCache, *seeds: int, k: int = 3) -> list[list[str]]:
    found = cache.search(np.stack([key(seed) for seed in seeds]), [k] * len(seeds), [False] * len(seeds))
    return [[one.answer for one in row] for row in found.neighbours]


def test_what_was_asked_before_is_not_searched_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(place)
    cache = SearchCache.of(store)
    first = ask(cache, 1, 2)
    assert counted(cache) == (0, 2)
    with monkeypatch.context() as patched:
        patched.setattr(store, "search", None)
        assert ask(cache, 2, 1) == first[::-1]
    assert counted(cache) == (2, 0)
    assert ask(cache, 1, 5, 2)[::2] == first, "some are known, some are not"
    assert counted(cache) == (2, 1)
    assert len(ask(cache, 1, k=4)[0]) == 4
    assert counted(cache) == (0, 1)
    assert counted(cache) == (0, 0)


def test_ages_go_on(place: Place) -> None:
    now = [0.0]
    cache = SearchCache(filled(place), Cache("search", CODEC, Cached()), lambda: now[0])
    asked = (key(1)[np.newaxis], [2], [False])
    young = cache.search(*asked).neighbours[0]
    now[0] = 7200
    old = cache.search(*asked).neighbours[0]
    assert counted(cache) == (1, 1)
    assert [b.age_hours - a.age_hours for a, b in zip(young, old, strict=True)] == pytest.approx([2, 2], abs=1e-6)
    assert old[0].model_copy(update={"age_hours": young[0].age_hours}) == young[0]


def test_a_search_that_counts_counts_every_time(place: Place) -> None:
    store = filled(place)
    cache = SearchCache.of(store)
    counting = KnnRequest(key=key(2), k=1, command=KnnCommand(command="search", count=True))
    plain = KnnRequest(key=key(2), k=1)
    for times in range(1, 5):
        for request in (plain, counting, plain, plain):
            (reply,) = execute(store, [request], cache)
            assert isinstance(reply, KnnReply)
        assert reply.result.neighbours[0].retrieval_count == times == store.get(reply.ids[0]).retrieval_count
    together = execute(store, [plain, counting, plain], cache)
    (after,) = execute(store, [plain], cache)
    assert [r.result.neighbours[0].retrieval_count for r in [*together, after] if isinstance(r, KnnReply)] == [
        4,
        4,
        4,
        5,
    ]
    assert counted(cache) == (9, 6)


def test_what_could_not_be_written_was_never_there(place: Place) -> None:
    store = filled(place)
    cache = SearchCache.of(store)
    before = ask(cache, 77)

    def lost() -> None:
        with store.together():
            store.insert(experience("lost"), key(77))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        lost()
    assert ask(cache, 77) == before
    store.insert(experience("kept"), key(77))
    assert ask(cache, 77)[0][0] == "kept"


def test_the_budget_holds_and_the_least_recently_used_goes(place: Place) -> None:
    cache = SearchCache.of(filled(place), Cached(entries=4, bytes=40_000, policy="lru"))
    for seed in (1, 2, 3, 1, 4, 5):
        ask(cache, seed, k=1)
        assert 0 < cache._cache.memory.held()[0] <= 4
    counted(cache)
    ask(cache, 1, 3, 4, 5, k=1)
    assert counted(cache) == (4, 0)
    ask(cache, 2, k=1)
    assert counted(cache) == (0, 1)
    none = SearchCache.of(filled(place, 0), Cached(bytes=0))
    assert ask(none, 1, k=1) == ask(none, 1, k=1)
    assert (counted(none), none._cache.memory.held()[0]) == ((0, 0), 0)


def test_nothing_is_kept_of_a_cold_store_nor_of_keys_of_odd_length(place: Place) -> None:
    cold = SearchCache.of(place.open(cold=5))
    assert ask(cold, 1) == [[]]
    assert ask(cold, 1) == [[]]
    assert counted(cold) == (0, 2)
    cache = SearchCache.of(filled(place))
    for times in (1e-7, 1e7):
        odd = np.stack([key(1), key(2)]) * np.float32(times)
        for _ in range(2):
            found = cache.search(odd, [1, 1], [False, False])
            assert [row[0].answer for row in found.neighbours] == ["1", "2"]
    assert counted(cache) == (0, 0)
    for bad in (np.zeros(WIDTH, np.float32), np.full(WIDTH, np.nan, np.float32), key(1, 4)):
        with pytest.raises(InvalidRequest):
            cache.search(bad[np.newaxis], [1], [False])


@given(
    st.integers(1, 2048),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-9, 1e-8, 1e-7, 1e-6]),
)
def test_keys_of_one_name_are_alike(width: int, seed: int, off: float) -> None:
    rng = np.random.default_rng(seed)
    one, stored = rng.standard_normal((2, width))
    one, stored = one / np.linalg.norm(one), stored / np.linalg.norm(stored)
    other = one + off * rng.standard_normal(width)
    steps = steps_per_unit(width)
    rounded = [np.rint(each * steps) / steps for each in (one, other)]
    for each, to in zip((one, other), rounded, strict=True):
        assert abs(float((each - to) @ stored)) <= MOST_OFF / 2
    if (rounded[0] == rounded[1]).all():
        assert abs(float((one - other) @ stored)) < MOST_OFF


def test_last_bits_and_the_sign_of_zero_make_no_difference(place: Place) -> None:
    cache = SearchCache.of(filled(place))
    plain = np.zeros((1, WIDTH), np.float32)
    plain[0, 0] = 1
    signed, nudged = plain.copy(), plain.copy()
    signed[0, 1:], nudged[0, 0] = -0.0, np.nextafter(np.float32(1), np.float32(2))
    for query in (plain, signed, nudged):
        cache.search(query, [3], [False])
    assert counted(cache) == (2, 1)
    away = plain.copy()
    away[0, 1] = 4 * MOST_OFF
    cache.search(away, [3], [False])
    assert counted(cache) == (0, 1)


seeds = st.integers(0, 7)
step = st.one_of(
    st.tuples(st.just("insert"), seeds),
    st.tuples(st.just("delete"), seeds),
    st.tuples(st.just("feedback"), seeds),
    st.tuples(st.just("count"), seeds),
    st.tuples(st.just("search"), st.lists(seeds, min_size=1, max_size=3)),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(step, min_size=5, max_size=40))
def test_whatever_changes_is_seen_by_the_next_search(steps: list[tuple[str, object]]) -> None:
    def same(asked: NDArray[np.float32]) -> None:
        n = len(asked)
        found, fresh = cache.search(asked, [4] * n, [False] * n), store.search(asked, [4] * n, [False] * n)
        assert (found.count, found.epoch, found.reason) == (fresh.count, fresh.epoch, fresh.reason)
        for row, expected in zip(found.neighbours, fresh.neighbours, strict=True):
            for one, other in zip(row, expected, strict=True):
                assert one.age_hours == pytest.approx(other.age_hours, abs=1e-3)
                assert one.model_copy(update={"age_hours": other.age_hours}) == other

    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        store = place.open(capacity=6)
        cache = SearchCache.of(store)
        alive: list[str] = []
        for what, argument in steps:
            if what == "search" and isinstance(argument, list):
                same(np.stack([key(seed) for seed in argument]))
                continue
            assert isinstance(argument, int)
            nearest = store.search(key(argument)[np.newaxis], 1).neighbours[0]
            if what == "insert":
                alive.append(store.insert(experience(str(len(alive))), key(argument)))
            elif what == "count":
                cache.search(key(argument)[np.newaxis], [2], [True])
            elif nearest and what == "delete":
                store.delete(nearest[0].experience_id)
            elif nearest:
                store.feedback(nearest[0].experience_id, True)
            same(np.stack([key(argument)]))
        store.close()
