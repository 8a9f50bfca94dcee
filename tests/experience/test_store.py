"""What the reference got wrong, and what the store promises."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelis.errors import InvalidRequest, NotFound
from pixelis.index_config import Hnsw, IndexConfig, Live, Pca, Refine
from pixelis.settings import Retrieval
from python_backends.experience import ExperienceStore
from tests.experience.conftest import WIDTH, Place, experience, key


def nearest(store: ExperienceStore, seed: int, k: int = 1, count: bool = False) -> list[str]:
    return [n.answer for n in store.search(key(seed)[None], k, count).neighbours[0]]


def nearest_id(store: ExperienceStore, seed: int) -> str:
    return store.search(key(seed)[None], 1).neighbours[0][0].experience_id


def test_the_index_grows_and_is_searched(place: Place) -> None:
    store = place.open()
    for i in range(20):
        store.insert(experience(answer=str(i)), key(i))
    assert store.stats()["indexed"] == store.stats()["count"] == len(store) == 20
    found = store.search(np.stack([key(3), key(7)]), 2)
    assert [row[0].answer for row in found.neighbours] == ["3", "7"]
    assert found.neighbours[0][0].similarity == pytest.approx(1, abs=1e-6)
    assert (found.reason, found.count, found.epoch) == (None, 20, 20)


def test_searches_agree_with_brute_force(place: Place) -> None:
    store = place.open()
    keys = np.stack([key(i) for i in range(50)])
    ids = [store.insert(experience(), row) for row in keys]
    queries = np.stack([key(1000 + i) for i in range(9)])
    ks = [0, 1, 2, 3, 5, 8, 13, 50, 99]
    for row, query, k in zip(store.search(queries, ks).neighbours, queries, ks, strict=True):
        best = np.argsort(-(keys @ query))[:k]
        assert [n.experience_id for n in row] == [ids[i] for i in best]
        np.testing.assert_allclose([n.similarity for n in row], (keys @ query)[best], atol=1e-6)


def test_the_lowest_priority_then_the_oldest_goes_from_the_index_too(place: Place) -> None:
    store = place.open(capacity=3)
    store.insert(experience("dull-new", confidence=0.9, created_at=200.0), key(1))
    store.insert(experience("dull-old", confidence=0.9, created_at=100.0), key(2))
    store.insert(experience("keen", confidence=0.2), key(3))
    store.insert(experience("a", confidence=0.5), key(4))
    assert nearest(store, 2, 9)
    assert "dull-old" not in nearest(store, 2, 9)
    store.insert(experience("b", confidence=0.5), key(5))
    assert sorted(nearest(store, 1, 9)) == ["a", "b", "keen"]
    assert store.stats()["indexed"] == 3


def test_ids_are_never_used_again(place: Place) -> None:
    store = place.open(capacity=2)
    ids = [store.insert(experience(str(i)), key(i)) for i in range(6)]
    assert len(set(ids)) == 6
    store.delete(ids[5])
    store.insert(experience("new"), key(9))
    assert "5" not in nearest(store, 5, 9)
    with pytest.raises(NotFound):
        store.delete(ids[5])
    with pytest.raises(InvalidRequest, match="exists"):
        store.insert(experience(experience_id=ids[4]), key(1))


@given(st.lists(st.tuples(st.sampled_from("id"), st.integers(0, 30), st.floats(0, 1)), max_size=30))
def test_the_index_always_holds_exactly_the_living(tmp_path_factory, steps) -> None:  # type: ignore[no-untyped-def]
    directory = tmp_path_factory.mktemp("store")
    config = Retrieval(capacity=5, cold_start_threshold=0)
    store = ExperienceStore(directory, config, width=WIDTH, snapshot_every=7)
    living: dict[str, int] = {}
    for what, seed, confidence in steps:
        if what == "i":
            identifier = store.insert(experience(str(seed), confidence), key(seed))
            living[identifier] = seed
        elif living:
            store.delete(sorted(living)[seed % len(living)])
        living = {i: s for i, s in living.items() if _has(store, i)}
        assert len(living) == len(store) == store.stats()["indexed"] <= 5
    store.close()
    again = ExperienceStore(directory, config, width=WIDTH)
    found = again.search(key(0)[None], 99).neighbours[0]
    assert {n.experience_id: n.answer for n in found} == {i: str(s) for i, s in living.items()}
    assert again.epoch == store.epoch
    again.close()


def _has(store: ExperienceStore, experience_id: str) -> bool:
    try:
        store.get(experience_id)
    except NotFound:
        return False
    return True


def test_what_is_learned_again_is_counted_and_not_stored_again(place: Place) -> None:
    store = place.open(capacity=3)
    first = store.insert(experience("Red", confidence=0.9, created_at=100.0), key(1))
    near = key(1) + 0.03 * key(2)
    near = (near / np.linalg.norm(near)).astype(np.float32)
    assert 0.999 < float(near @ key(1)) < 0.9999
    assert store.insert(experience(" red ", created_at=300.0), near) == first
    assert store.insert(experience("red", created_at=200.0), key(1)) == first
    found = store.get(first)
    assert (found.answer, found.occurrences, found.created_at, found.confidence) == ("Red", 3, 300.0, 0.9)
    assert (len(store), store.stats()["indexed"], store.epoch) == (1, 1, 3)
    other = store.insert(experience("blue", confidence=0.9, created_at=250.0), key(1))
    far = key(1) + 0.1 * key(2)
    apart = store.insert(experience("red", confidence=0.1), (far / np.linalg.norm(far)).astype(np.float32))
    assert len({first, other, apart}) == len(store) == 3
    store.insert(experience("red", confidence=0.1), key(3))
    assert not _has(store, other), "of the two of low priority the one that was learned last stays"
    assert _has(store, first)
    again = place.open(capacity=3)
    assert (again.get(first).occurrences, again.get(first).created_at, again.epoch) == (3, 300.0, store.epoch)
    (best, *_) = again.search(key(1)[None], 1).neighbours[0]
    assert (best.experience_id, best.occurrences) == (first, 3)


def test_learned_again_and_again_takes_no_room(place: Place) -> None:
    store = place.open()
    for i in range(500):
        store.insert(experience("red", created_at=float(i)), key(1))
    assert store.get(nearest_id(store, 1)).occurrences == 500
    assert len(store._population._lineup._heaps[""]) < 70


def test_duplicates_can_be_kept(place: Place) -> None:
    config = Retrieval(cold_start_threshold=0, duplicate_similarity=2)
    store = ExperienceStore(place.path, config, width=WIDTH)
    place.stores.append(store)
    assert len({store.insert(experience("red"), key(1)) for _ in range(3)}) == len(store) == 3


def test_a_store_on_a_trained_index(place: Place) -> None:
    """Search, eviction, restart and feedback, with an index that is merged while all of that goes on."""
    index = IndexConfig(index=Hnsw(), transform=Pca(width=6), refine=Refine(factor=20))
    config = Retrieval(capacity=150, cold_start_threshold=0, index=index, live=Live(flat_below=50, tail=10))

    def open_store() -> ExperienceStore:
        place.stores.append(ExperienceStore(place.path, config, width=WIDTH, snapshot_every=70))
        return place.stores[-1]

    store = open_store()
    missed = 0
    for i in range(400):
        store.insert(experience(str(i), confidence=0.5, created_at=float(i)), key(i))
        missed += nearest(store, i) != [str(i)]
    assert missed < 4, "none in the tail, and few where the merge was quicker than the search"
    store._population.index.settle(20)
    stats = store.stats()
    assert (stats["count"], stats["indexed"], stats["index"]["label"]) == (150, 150, "pca6,hnsw16+float32")
    assert stats["index"]["base"] > 100
    assert stats["index"]["recall"]["value"] > 0.9
    again = open_store()
    again._population.index.settle(20)
    (rows,) = zip(*[again.search(key(i)[None], 1).neighbours[0] for i in range(250, 400)], strict=True)
    assert sum(found.answer == str(i) for i, found in enumerate(rows, 250)) > 145
    assert sum(found.similarity == pytest.approx(1, abs=1e-6) for found in rows) > 145
    assert not {str(i) for i in range(250)} & set(nearest(again, 3, 150))


def test_the_index_is_tuned_in_the_background_and_what_was_chosen_is_kept(place: Place) -> None:
    config = Retrieval(capacity=2000, cold_start_threshold=0, live=Live(flat_below=200, tail=50), recall=0.5)
    store = ExperienceStore(place.path, config, width=WIDTH)
    place.stores.append(store)
    with pytest.raises(InvalidRequest, match="nothing to tune"):
        store.tune()
    for i in range(260):
        store.insert(experience(str(i)), key(i))
    assert store._population.index.settle(30)
    found = store.stats()["index"]
    assert found["fault"] is None
    assert 200 < found["learned_from"] <= 260
    written = (place.path / "index.json").read_text()
    assert IndexConfig.model_validate_json(written).label == found["wanted"]
    store.tune()
    assert store._population.index.settle(30)
    assert store.stats()["index"]["learned_from"] == 260
    assert len(store.search(key(5)[None], 3).neighbours[0]) == 3


def test_a_zero_key_finds_nothing_and_is_refused(place: Place) -> None:
    with pytest.raises(InvalidRequest, match="no direction"):
        place.open().search(np.zeros((1, WIDTH), np.float32), 1)


def test_cold_start(place: Place) -> None:
    store = place.open(cold=2)
    store.insert(experience(), key(1))
    found = store.search(key(1)[None], 5)
    assert (found.neighbours, found.reason) == ([[]], "cold_start")
    store.insert(experience(), key(2))
    assert store.search(key(1)[None], 5).reason is None


def test_reading_changes_nothing(place: Place) -> None:
    store = place.open()
    identifier = store.insert(experience(), key(1))

    def everything() -> object:
        files = {p: p.read_bytes() for p in place.path.rglob("*") if p.is_file()}
        return files, store.stats(), store.get(identifier), store.epoch

    before = everything()
    for _ in range(3):
        nearest(store, 1)
    assert everything() == before
    nearest(store, 1, count=True)
    assert store.get(identifier).retrieval_count == 1
    assert everything() != before


def test_counting_is_chosen_query_by_query(place: Place) -> None:
    store = place.open()
    first, second = store.insert(experience(), key(1)), store.insert(experience(), key(2))
    store.search(np.stack([key(1), key(2)]), [1, 1], [False, True])
    assert (store.get(first).retrieval_count, store.get(second).retrieval_count) == (0, 1)


def test_feedback(place: Place) -> None:
    store = place.open()
    identifier = store.insert(experience(), key(1))
    store.feedback(identifier, False)
    assert store.get(identifier).success_count == 0
    assert store.feedback(identifier, True).success_count == 1
    assert store.search(key(1)[None], 1).neighbours[0][0].success_count == 1
    with pytest.raises(NotFound, match="no experience"):
        store.feedback("01UNKNOWN", True)


def test_what_is_computed_at_insertion(place: Place) -> None:
    store = place.open()
    kept = store.get(store.insert(experience(confidence=0.7, reward=-0.5, priority=9.0), key(1)))
    assert kept.priority == pytest.approx(0.4 * 0.3 + 0.4 * 0.5)
    assert kept.learning_rate == pytest.approx(3e-5)
    assert len(kept.experience_id) == 26


def test_keys_that_are_refused(place: Place) -> None:
    store = place.open()
    for bad, words in (
        (key(1)[:5], r"shape \[5\]"),
        (np.full(WIDTH, np.nan, np.float32), "finite"),
        (key(1) * 1.2, "one side missing"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            store.insert(experience(), bad)
    assert len(store) == store.epoch == 0
    with pytest.raises(InvalidRequest, match="finite"):
        store.search(np.full((1, WIDTH), np.inf, np.float32), 1)


def test_ages_are_measured_from_creation(place: Place) -> None:
    store = place.open()
    store.insert(experience(created_at=time.time() - 7200), key(1))
    assert store.search(key(1)[None], 1).neighbours[0][0].age_hours == pytest.approx(2, abs=0.01)


@pytest.mark.timeout(30)
def test_threads_do_not_wait_for_themselves_or_each_other(place: Place) -> None:
    store = place.open(capacity=40, every=25)
    faults: list[Exception] = []

    def work(seed: int) -> None:
        try:
            for i in range(25):
                identifier = store.insert(experience(str(seed)), key(seed * 1000 + i))
                store.search(np.stack([key(i), key(seed)]), 3, count=True)
                if i % 5 == 0:
                    store.stats()
                    store.snapshot()
                    if _has(store, identifier):
                        store.feedback(identifier, True)
        except NotFound:
            pass  # evicted by another thread between two calls: that is an answer
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert not faults
    assert len(store) == store.stats()["indexed"] == 40
