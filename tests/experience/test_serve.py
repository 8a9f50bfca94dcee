"""Requests of the model `knn`: order, isolation, and one pass for many searches."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pixelis.errors import InvalidRequest, NotFound, PixelisError
from pixelis.schema import KnnCommand
from python_backends.experience import ExperienceStore, KnnReply, KnnRequest, execute
from python_backends.experience.search_cache import SearchCache
from tests.experience.conftest import Place, experience, key


def search(seed: int, k: int | None = 1) -> KnnRequest:
    return KnnRequest(key=key(seed), k=k)


def insert(seed: int) -> KnnRequest:
    return KnnRequest(key=key(seed), command=KnnCommand(command="insert", experience=experience(str(seed))))


def command(name: str, **fields: object) -> KnnRequest:
    return KnnRequest(command=KnnCommand.model_validate({"command": name, **fields}))


def good(reply: KnnReply | PixelisError) -> KnnReply:
    assert isinstance(reply, KnnReply), reply
    return reply


@pytest.fixture
def store(place: Place) -> ExperienceStore:
    made = place.open()
    execute(made, [insert(i) for i in range(10)])
    return made


def test_a_search(store: ExperienceStore) -> None:
    (reply,) = map(good, execute(store, [search(4, 3)]))
    assert len(reply.ids) == 3
    assert reply.scores.dtype == np.float32
    assert reply.scores[0] == pytest.approx(1, abs=1e-6)
    assert [n.experience_id for n in reply.result.neighbours] == reply.ids
    assert (reply.result.count, reply.result.epoch, reply.result.neighbours[0].answer) == (10, 10, "4")
    assert len(good(execute(store, [search(1, None)])[0]).ids) == 5
    assert good(execute(store, [search(1, 0)])[0]).ids == []


def test_order_is_kept_between_searches_and_commands(store: ExperienceStore) -> None:
    before, made, after = map(good, execute(store, [search(77), insert(77), search(77)]))
    assert before.result.neighbours[0].answer != "77"
    assert after.ids == [made.result.experience_id]
    gone, nothing = map(good, execute(store, [command("delete", experience_id=after.ids[0]), search(77)]))
    assert gone.result.count == 10
    assert nothing.ids != after.ids


def test_consecutive_searches_are_one_pass(store: ExperienceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    real = store.search

    def counted(keys, ks, count=False, tenant=""):  # type: ignore[no-untyped-def]
        passes.append(len(keys))
        return real(keys, ks, count, tenant)

    monkeypatch.setattr(store, "search", counted)
    batch = [search(1), search(2, 4), search(3), command("stats"), search(4), search(5)]
    replies = execute(store, batch)
    assert passes == [3, 2]
    assert [len(good(r).ids) for r in replies] == [1, 4, 1, 0, 1, 1]


def test_a_bad_request_is_alone_with_its_error(store: ExperienceStore) -> None:
    bad = [
        KnnRequest(key=np.zeros(3, np.float32)),
        KnnRequest(key=np.full(8, np.nan, np.float32)),
        KnnRequest(),
        search(1, 101),
        search(1, -1),
    ]
    mixed = [request for pair in zip(bad, [search(i) for i in range(5)], strict=True) for request in pair]
    replies = execute(store, mixed)
    assert all(isinstance(reply, InvalidRequest) for reply in replies[::2])
    assert [good(reply).result.neighbours[0].answer for reply in replies[1::2]] == list("01234")
    assert all(isinstance(reply, InvalidRequest) for reply in execute(store, bad))


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (KnnRequest(key=key(1, 4)), InvalidRequest, r"shape \[4\]. It must be \[8\]"),
        (KnnRequest(key=np.zeros((2, 8), np.float32)), InvalidRequest, r"shape \[2, 8\]"),
        (KnnRequest(key=np.full(8, np.nan, np.float32)), InvalidRequest, "not a finite number"),
        (KnnRequest(key=np.full(8, np.inf, np.float32)), InvalidRequest, "not a finite number"),
        (KnnRequest(key=np.zeros(8, np.float32)), InvalidRequest, "zero: it has no direction"),
        (KnnRequest(k=3), InvalidRequest, "needs a key"),
        (search(1, -1), InvalidRequest, "`K` is -1. It must be between 0 and 100"),
        (search(1, 101), InvalidRequest, "`K` is 101. It must be between 0 and 100"),
        (search(1, 21), InvalidRequest, "`K` is 21, and 20 experiences are kept at most"),
        (command("delete", experience_id="nobody"), NotFound, "no experience 'nobody'"),
        (command("feedback", experience_id="nobody", correct=True), NotFound, "no experience 'nobody'"),
        (command("feedback", experience_id="nobody", answer="x"), NotFound, "no experience 'nobody'"),
        (command("feedback", request_id="nobody", correct=True), NotFound, "no request 'nobody'"),
    ],
)
@pytest.mark.parametrize("count", [0, 3])
def test_bad_input_says_what_is_wrong(
    place: Place, count: int, asked: KnnRequest, error: type[PixelisError], words: str
) -> None:
    small = place.open(capacity=20)
    execute(small, [insert(i) for i in range(count)])
    for cache in (None, SearchCache.of(small)):
        (reply,) = execute(small, [asked], cache)
        assert isinstance(reply, error)
        assert re.search(words, str(reply))
    assert (len(small), small.epoch) == (count, count)


def test_an_empty_store_and_a_k_of_what_is_kept_are_no_errors(place: Place) -> None:
    empty = place.open(capacity=20)
    assert [good(reply).ids for reply in execute(empty, [search(1, 20), search(2, 0)])] == [[], []]
    execute(empty, [insert(1)])
    assert len(good(execute(empty, [search(1, 20)])[0]).ids) == 1


def test_feedback_by_verdict_or_by_answer(store: ExperienceStore) -> None:
    identifier = good(execute(store, [search(3)])[0]).ids[0]
    replies = execute(
        store,
        [
            command("feedback", experience_id=identifier, correct=True),
            command("feedback", experience_id=identifier, answer=" ３ "),
            command("feedback", experience_id=identifier, answer="4"),
        ],
    )
    assert [good(r).result.stats["success_count"] for r in replies] == [1, 2, 2]
    assert isinstance(execute(store, [command("feedback", experience_id=identifier)])[0], InvalidRequest)
    assert isinstance(execute(store, [command("feedback", experience_id="x", correct=True)])[0], NotFound)


def test_a_search_that_counts(store: ExperienceStore) -> None:
    request = KnnRequest(key=key(2), k=1, command=KnnCommand(command="search", count=True))
    identifier = good(execute(store, [request])[0]).ids[0]
    assert store.get(identifier).retrieval_count == 1


def test_other_commands(store: ExperienceStore) -> None:
    names = ["stats", "snapshot", "tune", "insert", "delete", "verify"]
    stats, snapshot, tune, insert_, delete, verify = execute(store, [command(name) for name in names])
    assert good(verify).result.stats == {"experiences": 10, "sequence": 10, "snapshots": [0, 10], "faults": []}
    assert good(stats).result.stats["indexed"] == 10
    assert good(snapshot).result.stats["snapshot"] == 10
    assert isinstance(tune, InvalidRequest)
    assert "nothing to tune" in str(tune)
    assert isinstance(insert_, InvalidRequest)
    assert isinstance(delete, InvalidRequest)
