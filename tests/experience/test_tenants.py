"""Tenants: nobody finds, changes or pushes out what is another's, whatever the index and however it is kept."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from pixelis.errors import InvalidRequest, NotFound, PixelisError
from pixelis.index_config import Hnsw, IndexConfig, IvfFlat, Live
from pixelis.schema import KnnCommand
from pixelis.settings import Retrieval
from python_backends.experience import ExperienceStore, KnnReply, KnnRequest, execute
from python_backends.experience.database.schema import version
from python_backends.experience.search_cache import SearchCache
from python_backends.experience.transfer import export, format_of, load
from tests.experience.conftest import WIDTH, Place, experience, fill, key

TENANTS = ["", "alice", "bob", "carol"]
WHO = st.sampled_from(TENANTS)


class Apart(RuleBasedStateMachine):
    """The store beside a dictionary of what is whose; every search is held against an exact one of what may be seen."""

    index: IndexConfig | None = None
    ids = Bundle("ids")
    requests = Bundle("requests")

    @initialize()
    def start(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pixelis-tenants-"))
        live = Live(flat_below=3, tail=2) if self.index else Live()
        self.config = Retrieval(capacity=1000, cold_start_threshold=0, index=self.index, live=live)
        self.seed, self.living = 0, dict[str, tuple[str, int]]()
        self.store = self.opened()
        self.cache = SearchCache.of(self.store)

    def opened(self) -> ExperienceStore:
        return ExperienceStore(self.directory, self.config, width=WIDTH, snapshot_every=7)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.directory)

    @rule(target=ids, tenant=WHO, twin=st.booleans())
    def insert(self, tenant: str, twin: bool) -> str:
        if not twin:
            self.seed += 1
        made = self.store.insert(experience(str(self.seed), tenant=tenant), key(self.seed))
        assert made not in self.living or self.living[made] == (tenant, self.seed)
        self.living[made] = (tenant, self.seed)
        return made

    @rule(target=requests, tenant=WHO, name=st.sampled_from(["r", "s"]), learn=st.booleans())
    def ask(self, tenant: str, name: str, learn: bool) -> tuple[str, str, int]:
        self.seed += 1
        found = self.store.search(key(self.seed)[None], 3, count=True, tenant=tenant).neighbours[0]
        made = experience(str(self.seed), tenant=tenant)
        ids = [one.experience_id for one in found]
        lives = self.store.asked(name, made, key(self.seed), str(self.seed), ids, learn)
        if lives is not None:
            self.living[lives] = (tenant, self.seed)
        return tenant, name, self.seed

    @rule(asked=requests, tenant=WHO, correct=st.booleans())
    def judge(self, asked: tuple[str, str, int], tenant: str, correct: bool) -> None:
        _, name, _ = asked
        try:
            judged = self.store.judge(name, correct, None, tenant)
        except NotFound:
            return
        assert self.store._asked.get((tenant, name))[0].experience.tenant == tenant  # type: ignore[index]
        for gone in judged.replaced:
            assert self.living.pop(gone)[0] == tenant
        if judged.experience_id is not None:
            self.living[judged.experience_id] = (tenant, int(judged.answer))
        assert all(self.living[one][0] == tenant for one in judged.credited)

    @rule(identifier=ids, tenant=WHO)
    def delete(self, identifier: str, tenant: str) -> None:
        if self.living.get(identifier, (None, 0))[0] == tenant:
            self.store.delete(identifier, tenant)
            del self.living[identifier]
        else:
            with pytest.raises(NotFound):
                self.store.delete(identifier, tenant)

    @rule(identifier=ids, tenant=WHO)
    def feedback(self, identifier: str, tenant: str) -> None:
        if self.living.get(identifier, (None, 0))[0] == tenant:
            self.store.feedback(identifier, True, tenant)
        else:
            with pytest.raises(NotFound):
                self.store.feedback(identifier, True, tenant)

    @rule(seed=st.integers(0, 50), k=st.integers(1, 9), tenant=WHO, cached=st.booleans())
    def search(self, seed: int, k: int, tenant: str, cached: bool) -> None:
        for index in self.store._population.indexes.all():
            index.settle(20)
        searched = self.cache.search(key(seed)[None], [k], [False], tenant) if cached else None
        found = searched or self.store.search(key(seed)[None], k, tenant=tenant)
        seen = {one: at for one, (whose, at) in self.living.items() if whose in ("", tenant)}
        assert found.count == len(seen)
        (row,) = found.neighbours
        assert {one.experience_id for one in row} <= seen.keys()
        assert all(one.tenant == self.living[one.experience_id][0] for one in row)
        exact = sorted((float(key(seed) @ key(at)) for at in seen.values()), reverse=True)[:k]
        np.testing.assert_allclose([one.similarity for one in row], exact, atol=1e-5)

    @rule()
    def restart(self) -> None:
        before = self.store
        self.store = self.opened()
        assert self.store.stats()["faults"] == []
        before.close()
        self.cache = SearchCache.of(self.store)

    @invariant()
    def all_agree(self) -> None:
        if hasattr(self, "store"):
            told = self.store.stats()["tenants"]
            assert told == {one: n for one in TENANTS if one and (n := sum(w == one for w, _ in self.living.values()))}

    @rule()
    def verify(self) -> None:
        assert self.store.verify().faults == []


class OnGraphs(Apart):
    """The same on indexes that are trained and built again all the time."""

    index = IndexConfig(index=Hnsw())


CHECKED: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}
TestExact = pytest.mark.timeout(900)(Apart.TestCase)  # every change is synced, which a disk that others use delays
TestExact.settings = settings(max_examples=20, stateful_step_count=30, **CHECKED)
TestTrained = pytest.mark.timeout(900)(OnGraphs.TestCase)
TestTrained.settings = settings(max_examples=6, stateful_step_count=30, **CHECKED)


@pytest.mark.parametrize("index", [IndexConfig(index=Hnsw()), IndexConfig(index=IvfFlat(lists=4))])
def test_a_few_among_many_are_all_found(tmp_path: Path, index: IndexConfig) -> None:
    """A filter behind an approximate search would find none of them: the nearest hundreds are another's."""
    config = Retrieval(cold_start_threshold=0, index=index, live=Live(flat_below=100, tail=32), duplicate_similarity=2)
    store = ExperienceStore(tmp_path, config, width=WIDTH)
    rng, centre = np.random.default_rng(1), key(0)

    def near(spread: float) -> Any:
        vector = centre + spread * rng.standard_normal(WIDTH)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    with store.together():
        for i in range(600):
            store.insert(experience(f"bob {i}", tenant="bob"), near(0.01))
        for i in range(7):
            store.insert(experience(f"alice {i}", tenant="alice"), near(2.0))
    for one in store._population.indexes.all():
        one.settle(30)
    (row,) = store.search(centre[None], 7, tenant="alice").neighbours
    assert sorted(one.answer for one in row) == [f"alice {i}" for i in range(7)]
    assert store.search(centre[None], 7).neighbours == [[]]
    assert {one.tenant for one in store.search(centre[None], 50, tenant="bob").neighbours[0]} == {"bob"}
    store.close()


def command(tenant: str, name: str, seed: int | None = None, **fields: Any) -> KnnRequest:
    said = KnnCommand.model_validate({"command": name, "tenant": tenant, **fields})
    return KnnRequest(key=None if seed is None else key(seed), command=said, k=5 if name == "search" else None)


def replies(store: ExperienceStore, *requests: KnnRequest) -> list[KnnReply | PixelisError]:
    return execute(store, requests, SearchCache.of(store))


def good(reply: KnnReply | PixelisError) -> KnnReply:
    assert isinstance(reply, KnnReply), reply
    return reply


def test_a_batch_of_several_tenants_answers_each_its_own(place: Place) -> None:
    store = place.open()
    store.insert(experience("shared"), key(1))
    batch = [command(who, "insert", 2, experience=experience(who)) for who in ("alice", "bob")]
    batch += [command(who, "search", 2) for who in ("alice", "bob", "", "alice")]
    found = [good(reply) for reply in replies(store, *batch)][2:]
    answers = [[one.answer for one in reply.result.neighbours] for reply in found]
    assert answers == [["alice", "shared"], ["bob", "shared"], ["shared"], ["alice", "shared"]]
    assert [reply.result.count for reply in found] == [2, 2, 1, 2]
    wrong = command("alice", "insert", 3, experience=experience("x", tenant="bob"))
    (refused,) = replies(store, wrong)
    assert isinstance(refused, InvalidRequest)


def test_feedback_on_a_request_of_another_is_on_none(place: Place) -> None:
    store = place.open()
    for who, answer in (("alice", "red"), ("bob", "blue")):
        asked = command(who, "asked", 1, request_id="r", experience=experience(answer), answer=answer, learn=True)
        assert good(replies(store, asked)[0]).result.experience_id != "r"
    (carols,) = replies(store, command("carol", "feedback", request_id="r", correct=True))
    (nobodys,) = replies(store, command("", "feedback", request_id="r", correct=True))
    assert isinstance(carols, NotFound)
    assert isinstance(nobodys, NotFound)
    judged = good(replies(store, command("alice", "feedback", request_id="r", answer="green"))[0]).result.judgement
    assert judged is not None
    assert (judged.answer, judged.replaced) == ("red", [])
    (bobs,) = store.search(key(1)[None], 5, tenant="bob").neighbours
    assert [(one.answer, one.confirmed) for one in bobs] == [("blue", False)]
    assert store.stats_of("alice") == {"count": 1, "confirmed": 1, "feedback_requests": 1, "cold": False}
    again = place.open()
    assert good(replies(again, command("bob", "feedback", request_id="r", correct=True))[0]).result.judgement


def test_shared_ones_are_found_and_not_changed(place: Place) -> None:
    store = place.open()
    shared = store.insert(experience("red"), key(1))
    store.search(key(1)[None], 5, count=True, tenant="alice")
    assert store.get(shared).retrieval_count == 0
    for name in ("delete", "feedback"):
        (refused,) = replies(store, command("alice", name, experience_id=shared, correct=True))
        assert isinstance(refused, NotFound)
    store.asked("r", experience("red", tenant="alice"), key(1), "red", [shared], learn=True)
    assert store.judge("r", True, None, "alice").credited == []
    assert store.get(shared).success_count == 0
    assert store.stats()["tenants"] == {"alice": 1}  # not counted as one more of the shared one


def test_who_has_most_gives_way(place: Place) -> None:
    store = place.open(capacity=10)
    for i in range(3):
        store.insert(experience(f"a{i}", confidence=0.99, tenant="alice"), key(100 + i))
    for i in range(30):
        store.insert(experience(f"b{i}", confidence=0.1, tenant="bob"), key(200 + i))
    assert store.stats()["tenants"] == {"alice": 3, "bob": 7}
    for i in range(30):
        store.insert(experience(f"c{i}", confidence=0.1, tenant="carol"), key(300 + i))
    assert store.stats()["tenants"] == {"alice": 3, "bob": 4, "carol": 3} or store.stats()["tenants"] == {
        "alice": 3, "bob": 3, "carol": 4,
    }  # fmt: skip
    assert len(place.open(capacity=6)) == 6


def test_notes_of_one_do_not_push_out_those_of_another(tmp_path: Path) -> None:
    config = Retrieval(cold_start_threshold=0, feedback_requests=4)
    store = ExperienceStore(tmp_path, config, width=WIDTH)
    store.asked("a", experience(tenant="alice"), key(0), "red", [], learn=False)
    for i in range(9):
        store.asked(f"b{i}", experience(tenant="bob"), key(i), "red", [], learn=False)
    assert store.judge("a", True, None, "alice").correct
    assert [store.stats_of(who)["feedback_requests"] for who in ("alice", "bob")] == [1, 3]
    assert store.verify().faults == []
    store.close()


def test_a_cold_start_is_a_tenants_own(place: Place) -> None:
    store = place.open(cold=3)
    fill(store, 2)
    store.insert(experience(tenant="alice"), key(50))
    found = {who: store.search(key(1)[None], 5, tenant=who).reason for who in ("", "alice", "bob")}
    assert found == {"": "cold_start", "alice": None, "bob": "cold_start"}


def test_a_database_of_before_tenants_is_all_shared(place: Place) -> None:
    store = place.open()
    fill(store, 3)
    store.asked("r", experience("red"), key(9), "red", [], learn=True)
    connection = sqlite3.connect(place.closed())
    connection.executescript("""
        CREATE TABLE before (
            row INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, digest BLOB NOT NULL);
        INSERT INTO before SELECT row, request_id, body, digest FROM asked;
        DROP TABLE asked;
        ALTER TABLE before RENAME TO asked;
        PRAGMA user_version = 2;
    """)
    connection.close()
    again = place.open()
    assert version(again._ledger.database.connection) == 3
    assert (again.stats()["faults"], again.stats()["tenants"], len(again)) == ([], {}, 4)
    assert again.judge("r", None, "blue").right_answer == "blue"
    again.asked("r", experience("red", tenant="alice"), key(8), "red", [], learn=True)
    assert again.judge("r", True, None).right_answer == "red"
    assert again.verify().faults == []


def test_a_note_that_says_another_tenant_is_damage(place: Place) -> None:
    store = place.open()
    store.asked("r", experience(tenant="alice"), key(1), "red", [], learn=True)
    connection = sqlite3.connect(place.closed())
    connection.execute("UPDATE asked SET tenant = 'bob'")
    connection.commit()
    connection.close()
    again = place.open()
    assert "another tenant" in again.stats()["faults"][0]
    with pytest.raises(NotFound):
        again.judge("r", True, None, "bob")
    assert again.judge("r", True, None, "alice").correct


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_files_carry_whose_it_is(place: Place, tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    store = place.open()
    for i, who in enumerate(TENANTS):
        store.insert(experience(f"of {who}", tenant=who), key(i))
    how = format_of(Path(f"x.{kind}"), None)
    files = {who: tmp_path / f"{n}.{kind}" for n, who in enumerate((None, "alice", ""))}
    counts = {who: export(place.path, path, how, who) for who, path in files.items()}
    assert counts == {None: 4, "alice": 1, "": 1}
    other = ExperienceStore(tmp_path / "other", Retrieval(cold_start_threshold=0), width=WIDTH)
    assert load(other, files[None], how).added == 4
    assert other.stats()["tenants"] == dict.fromkeys(TENANTS[1:], 1)
    other.close()
    third = ExperienceStore(tmp_path / "third", Retrieval(cold_start_threshold=0), width=WIDTH)
    assert load(third, files["alice"], how, "dora").added == 1
    assert third.stats()["tenants"] == {"dora": 1}
    with pytest.raises(InvalidRequest):
        load(third, files[""], how, "no name")
    third.close()
    if kind == "jsonl":
        assert json.loads(files["alice"].read_text())["experience"]["tenant"] == "alice"
