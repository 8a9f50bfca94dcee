"""The live index: found at once, never found again, merged meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelis.errors import InvalidRequest, NotFound, SetupError
from pixelis.index_config import Hnsw, IndexConfig, IvfFlat, IvfPq, Live, Pca, Refine
from python_backends.experience.aside import Aside
from python_backends.experience.indexes import FaissIndex
from python_backends.experience.indexes.hnsw import HnswIndex
from python_backends.experience.live import LiveIndex, worker
from python_backends.experience.live.recall import RecentQueries, hits
from python_backends.experience.live.state import ESTIMATE_EVERY
from tests.experience.indexes.configs import WIDTH, clustered, recall

CONFIGS = {
    "hnsw": IndexConfig(index=Hnsw(ef_search=32)),
    "hnsw+pca+refine": IndexConfig(index=Hnsw(ef_search=32), transform=Pca(width=12), refine=Refine()),
    "ivf_flat": IndexConfig(index=IvfFlat(lists=8, probes=5)),
    "ivf_pq+refine": IndexConfig(index=IvfPq(lists=8, probes=5, subquantizers=12, bits=4), refine=Refine(factor=8)),
}
LIVE = Live(flat_below=300, tail=40, dead_share=0.3)
POOL = clustered(3000, 1)
QUERIES = clustered(40, 2)
every = pytest.mark.parametrize("name", CONFIGS)


def opened(name: str, count: int) -> LiveIndex:
    index = LiveIndex(CONFIGS[name], WIDTH, live=LIVE)
    index.add(np.arange(count), POOL[:count])
    assert index.settle(20)
    return index


@every
def test_a_new_vector_is_found_by_the_very_next_search_whatever_is_merged(name: str) -> None:
    index = opened(name, 400)
    assert index.parameters()["base"] == 400
    found = []
    for number in range(400, 1200):
        index.add(np.array([number]), POOL[number : number + 1])
        scores, ids = index.search(POOL[number : number + 1], 1)
        found.append(ids[0, 0] == number and scores[0, 0] == pytest.approx(1, abs=1e-5))
    assert sum(found) >= 798, "a merge may end between the two, and the trained index misses a few"
    assert index.settle(20)
    assert index.parameters()["merges"] > 3
    assert index.parameters()["tail"] < 200
    assert len(index) == 1200
    truth = np.argsort(-(QUERIES @ POOL[:1200].T), axis=1)[:, :10]
    assert recall(index.search(QUERIES, 10)[1], truth) > 0.8
    assert recall(index.exact(QUERIES, 10)[1], truth) == 1


@every
def test_what_is_removed_during_a_merge_stays_removed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    index = opened(name, 400)
    moving, go = threading.Event(), threading.Event()

    def pause() -> None:
        moving.set()
        assert go.wait(10)

    monkeypatch.setattr(worker, "pause", pause)
    index.add(np.arange(400, 440), POOL[400:440])
    assert moving.wait(10)
    gone = [3, 7, 410, 439]
    assert index.remove(np.array(gone)) == 4
    index.add(np.arange(440, 450), POOL[440:450])
    assert index.remove(np.array([445, 3])) == 1
    assert index.parameters()["base"] == 399, "one of the tail has moved"
    assert index.parameters()["tail"] == 46
    assert index.search(POOL[441:442], 1)[1].tolist() == [[441]]
    assert index.search(POOL[430:431], 1)[1].tolist() == [[430]]
    go.set()
    assert index.settle(10)
    gone.append(445)
    assert (len(index), index.parameters()["tail"]) == (445, 9)
    assert not np.isin(index.search(POOL[gone], 20)[1], gone).any()
    kept = np.setdiff1d(np.arange(450), gone)
    assert (index.vectors(kept) == POOL[kept]).all()
    with pytest.raises(NotFound):
        index.vectors(np.array([3]))


@every
def test_the_dead_are_swept_and_few_are_compared_one_by_one(name: str) -> None:
    index = opened(name, 1000)
    index.remove(np.arange(0, 1000, 2))
    assert index.settle(20)
    parameters = index.parameters()
    assert (parameters["base"], parameters["dead"]) == (500, 0)
    index.remove(np.arange(1, 900, 2))
    assert index.settle(20)
    assert (index.parameters()["base"], index.parameters()["tail"], len(index)) == (0, 50, 50)
    index.add(np.arange(1000, 1600), POOL[1000:1600])
    assert index.settle(20)
    assert index.parameters()["base"] == 650


def test_another_index_takes_over_while_it_is_searched() -> None:
    index = opened("hnsw", 1000)
    for name in ("ivf_flat", "ivf_pq+refine"):
        index.rebuild(CONFIGS[name])
        while not index.settle(0):
            assert index.search(POOL[7:8], 1)[1].shape == (1, 1)
        assert index.parameters()["label"] == CONFIGS[name].label
        assert len(index) == 1000
    index.rebuild(IndexConfig())
    assert index.settle(20)
    assert (index.parameters()["kind"], index.parameters()["base"]) == ("flat", 0)
    assert index.search(POOL[:50], 1)[1].ravel().tolist() == list(range(50))
    with pytest.raises(SetupError, match="keep whole vectors"):
        index.rebuild(IndexConfig(index=IvfPq()))


def test_recall_is_estimated_on_what_was_asked() -> None:
    narrow = IndexConfig(index=IvfFlat(lists=32, probes=1))
    index = LiveIndex(narrow, WIDTH, live=LIVE)
    assert index.recall.source == "exact"
    index.add(np.arange(2000), POOL[:2000])
    assert index.settle(20)
    assert (index.recall.source, index.recall.queries) == ("stored", 64)
    found = index.search(QUERIES, 10)[1]
    index.add(np.arange(2000, 2020), POOL[2000:2020])
    estimate = index.estimate_recall()
    assert (estimate.source, estimate.queries, estimate.k, estimate.count) == ("asked", 40, 10, 2020)
    truth = np.argsort(-(QUERIES @ POOL[:2020].T), axis=1)[:, :10]
    assert estimate.value == pytest.approx(recall(index.search(QUERIES, 10)[1], truth), abs=0.001)
    assert estimate.value < 0.95
    assert (found >= 0).all()
    before = index.recall
    for waits in (True, False):
        index._state.estimate_from = time.monotonic() + 60 if waits else 0.0
        for _ in range(ESTIMATE_EVERY // len(QUERIES)):
            index.search(QUERIES, 1)
        assert index.settle(20)
        assert (index.recall is before) == waits
    flat = LiveIndex(IndexConfig(), WIDTH)
    flat.add(np.arange(100), POOL[:100])
    assert flat.estimate_recall().value == 1.0


def test_hits_counts_ties_and_what_is_missing() -> None:
    truth = np.array([[0.9, 0.8, 0.8], [0.5, -np.inf, -np.inf]], np.float32)
    assert hits(truth, truth) == 1
    assert hits(np.array([[0.8, 0.8, 0.8], [-np.inf] * 3], np.float32), truth) == 0.75
    assert hits(np.array([[0.9, 0.7, 0.6], [0.5, -np.inf, -np.inf]], np.float32), truth) == 0.5
    assert hits(np.full((1, 3), -np.inf, np.float32), np.full((1, 3), -np.inf, np.float32)) == 1


def test_recent_queries_are_the_last() -> None:
    ring = RecentQueries(4, 1)
    assert ring.all().shape == (0, 1)
    for first in (1, 3, 4):
        ring.note(np.arange(first, first + 2, dtype=np.float32)[:, None])
    assert sorted(ring.all().ravel().tolist()) == [3, 4, 4, 5]
    ring.note(np.arange(10, dtype=np.float32)[:, None])
    assert sorted(ring.all().ravel().tolist()) == [6, 7, 8, 9]


def test_a_merge_that_fails_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    index = opened("hnsw", 400)

    def broken(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(HnswIndex, "add", broken)
    index.add(np.arange(400, 440), POOL[400:440])
    assert index.settle(10)
    assert index.parameters()["fault"] == "MemoryError: no room"
    assert (len(index), index.parameters()["tail"]) == (440, 40)
    assert index.search(POOL[439:440], 1)[1].tolist() == [[439]]
    monkeypatch.undo()
    index.add(np.arange(440, 480), POOL[440:480])
    assert index.settle(10)
    parameters = index.parameters()
    assert (parameters["fault"], parameters["base"], parameters["tail"]) == (None, 480, 0)


def test_a_base_without_room_is_built_again_and_never_copied() -> None:
    index = opened("hnsw+pca+refine", 400)
    assert index.parameters()["learned_from"] == 400
    for start in range(400, 700, 40):
        index.add(np.arange(start, start + 40), POOL[start : start + 40])
        assert index.settle(10)
    assert 560 <= index.parameters()["learned_from"] <= 700
    assert len(index) == 720


def test_the_tail_is_merged_and_nothing_lost_while_all_is_learned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuild that takes long: what comes meanwhile goes into the old base, and then into the new one."""
    index = opened("hnsw", 400)
    monkeypatch.setattr(worker, "SLICE", 20)
    between, steps, count = worker.Worker._between, 0, 400

    def change(self: worker.Worker) -> None:
        nonlocal steps, count
        steps += 1
        if count < 1000:
            index.add(np.arange(count, count + 30), POOL[count : count + 30])
            index.remove(np.array([steps, count]))
            count += 30
        between(self)

    monkeypatch.setattr(worker.Worker, "_between", change)
    index.rebuild(CONFIGS["ivf_flat"])
    assert index.settle(20)
    parameters = index.parameters()
    assert (count, parameters["label"], parameters["fault"]) == (1000, "ivf8", None)
    assert parameters["merges"] > 3
    gone = {*range(1, steps + 1), *range(400, 1000, 30)}
    found = set(index.exact(POOL[:1], 1000)[1][0].tolist()) - {-1}
    assert found >= set(range(1000)) - gone - set(range(21, 400))
    assert not found & set(range(400, 1000, 30))
    assert len(index) == len(found)


def test_a_tuner_chooses_whenever_the_index_has_grown() -> None:
    asked: list[tuple[int, int]] = []

    def tuner(base: FaissIndex, queries: np.ndarray, aside: Aside, between: Callable[[], None]) -> IndexConfig | None:
        between()
        asked.append((len(base), len(queries)))
        return CONFIGS["ivf_flat"] if len(asked) > 1 else None

    index = LiveIndex(CONFIGS["hnsw"], WIDTH, live=LIVE, tuner=tuner)
    index.search(QUERIES[:5], 1)
    with pytest.raises(InvalidRequest, match="0 vectors are compared one by one"):
        index.retune()
    index.add(np.arange(400), POOL[:400])
    assert index.settle(20)
    assert asked == [], "what is configured is built before it is judged"
    index.retune()
    assert index.settle(20)
    assert (asked, index.parameters()["label"]) == ([(400, 5)], CONFIGS["hnsw"].label)
    for start in range(400, 1000, 40):
        index.add(np.arange(start, start + 40), POOL[start : start + 40])
        assert index.settle(20)
    assert len(asked) == 2
    assert index.parameters()["label"] == "ivf8"
    assert len(index) == 1000
    asked.clear()
    exact = LiveIndex(IndexConfig(), WIDTH, live=LIVE, tuner=tuner)
    for start in range(0, 1000, 100):
        exact.add(np.arange(start, start + 100), POOL[start : start + 100])
        assert exact.settle(20)
    assert [count for count, _ in asked] == [400, 800]
    assert (exact.parameters()["label"], len(exact)) == ("ivf8", 1000)
    with pytest.raises(InvalidRequest, match="Unset"):
        opened("hnsw", 400).retune()


def test_closing_gives_up_a_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    index = LiveIndex(CONFIGS["hnsw"], WIDTH, live=LIVE)
    index.add(np.arange(3000), POOL)
    index.close()
    assert index.settle(0)
    assert len(index) == 3000
    assert index.search(POOL[5:6], 1)[1].tolist() == [[5]]


def test_bad_input() -> None:
    with pytest.raises(SetupError, match="keep whole vectors"):
        LiveIndex(IndexConfig(index=IvfPq()), WIDTH)
    index = opened("hnsw", 400)
    with pytest.raises(InvalidRequest, match="given out before"):
        index.add(np.array([17]), POOL[:1])
    bad = {
        r"shape \[1, 3\]": np.ones((1, 3), np.float32),
        r"shape \[24\]": POOL[0],
        "not a finite": np.full((1, WIDTH), np.nan, np.float32),
        "is zero": np.zeros((1, WIDTH), np.float32),
    }
    for words, vectors in bad.items():
        for does in (
            lambda vectors=vectors: index.search(vectors, 1),
            lambda vectors=vectors: index.exact(vectors, 1),
            lambda vectors=vectors: index.add(np.array([9999]), vectors),
        ):
            with pytest.raises(InvalidRequest, match=words):
                does()
    for k in (0, -1):
        with pytest.raises(InvalidRequest, match="at least 1"):
            index.search(POOL[:1], k)
    with pytest.raises(NotFound, match="no vector 9999"):
        index.vectors(np.array([9999]))
    assert index.remove(np.array([9999])) == 0
    assert index.search(POOL[:1], 500)[1][0, 400:].tolist() == [-1] * 100
    empty = LiveIndex(CONFIGS["hnsw"], WIDTH, live=LIVE)
    assert empty.search(POOL[:1], 2)[1].tolist() == empty.exact(POOL[:1], 2)[1].tolist() == [[-1, -1]]
    with pytest.raises(NotFound, match="no vector 0"):
        empty.vectors(np.array([0]))
    assert len(index) == 400


step = st.one_of(
    st.tuples(st.just("insert"), st.integers(1, 60)),
    st.tuples(st.just("remove"), st.lists(st.integers(0, 1500), min_size=1, max_size=80)),
    st.tuples(st.just("settle"), st.just(0)),
)


@every
@settings(max_examples=8, deadline=None)
@given(steps=st.lists(step, min_size=10, max_size=40))
def test_random_changes_against_a_model(name: str, steps: list[tuple[str, object]]) -> None:
    index = LiveIndex(CONFIGS[name], WIDTH, live=Live(flat_below=60, tail=20, dead_share=0.2))
    living: set[int] = set()
    count = 0
    for what, argument in steps:
        if what == "insert" and isinstance(argument, int):
            new = np.arange(count, count + argument)
            index.add(new, POOL[new])
            living |= set(new.tolist())
            count += argument
            assert index.exact(POOL[new], 1)[1].ravel().tolist() == new.tolist()
            assert (index.search(POOL[new], 1)[1].ravel() == new).mean() >= 0.8
        elif what == "remove" and isinstance(argument, list):
            assert index.remove(np.unique(argument)) == len(living & set(argument))
            living -= set(argument)
        else:
            assert index.settle(20)
        assert len(index) == len(living)
        found = index.search(QUERIES[:3], 10)[1]
        assert set(found[found >= 0].tolist()) <= living
        assert set(index.exact(QUERIES[:1], len(living) + 1)[1][0].tolist()) == {*living, -1}
    assert index.settle(20)
    assert index.parameters()["fault"] is None
    kept = np.array(sorted(living), np.int64)
    assert (index.vectors(kept) == POOL[kept]).all()


def test_searches_and_changes_of_many_threads_while_it_is_merged() -> None:
    index = opened("hnsw+pca+refine", 400)
    faults: list[BaseException] = []
    end = time.monotonic() + 1.0

    def change(first: int) -> None:
        try:
            for number in range(first, first + 400):
                index.add(np.array([number]), POOL[number : number + 1])
                assert index.exact(POOL[number : number + 1], 1)[1][0, 0] == number
                if number % 3 == 0:
                    index.remove(np.array([number]))
                    assert number not in index.search(POOL[number : number + 1], 3)[1]
                if time.monotonic() > end:
                    return
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=change, args=(400 + 400 * i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not faults
    assert index.settle(20)
    assert index.parameters()["fault"] is None
