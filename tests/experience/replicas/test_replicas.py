"""Stores that hold the same, by a log in a real Redis."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from pixelis.errors import InvalidRequest, NotFound, SetupError, Unavailable
from pixelis.settings import Replicas, Retrieval
from python_backends.experience import ExperienceStore
from tests.experience.conftest import WIDTH, experience, fill, key
from tests.experience.replicas.conftest import Open
from tests.experience.test_persistence import seeds
from tests.redis_server import Server, needs_redis, wait

State = list[tuple[object, ...]]


def state(store: ExperienceStore) -> State:
    """Everything that has to be the same, the order of eviction too."""
    population = store._population
    living = population.lowest(len(population) + 1)
    asked = [one.model_dump_json() for one, _ in store._asked.everything()]
    return [(one.model_dump_json(), population.whole(one.experience_id)[2].tobytes()) for one in living] + [(asked,)]


def agree(*stores: ExperienceStore) -> float:
    """Seconds until all hold the same."""
    return wait(lambda: all(state(store) == state(stores[0]) for store in stores))


def test_each_sees_what_the_others_insert_within_a_second(opened: Open) -> None:
    one, other = opened("one"), opened("other")
    for i in range(20):
        writer, reader = (one, other) if i % 2 else (other, one)
        made = writer.insert(experience(str(i)), key(i))
        assert wait(lambda made=made, reader=reader: reader.holds(made)) < 1.0
        assert reader.search(key(i)[None], 1).neighbours[0][0].experience_id == made
    one.asked("r", experience("blue"), key(50), "blue", [], learn=True)
    wait(lambda: other.stats()["feedback_requests"] == 1)
    other.judge("r", None, "green")
    one.search(key(1)[None], 3, count=True)
    agree(one, other)
    assert one.stats()["confirmed"] == other.stats()["confirmed"] == 1
    assert (one.verify().faults, other.verify().faults) == ([], [])
    assert one.stats()["replica"]["position"] == other.stats()["replica"]["position"]
    assert one.replica is not None
    assert one.replica.reached
    assert abs(one.replica.written_s - time.time()) < 60


def test_tenants_are_apart_on_every_replica(opened: Open) -> None:
    one, other = opened("one", capacity=12), opened("other", capacity=12)
    for i in range(20):
        (one, other)[i % 2].insert(experience(str(i), confidence=i / 20, tenant=("", "alice", "bob")[i % 3]), key(i))
    one.asked("r", experience("red", tenant="alice"), key(30), "red", [], learn=True)
    other.asked("r", experience("blue", tenant="bob"), key(30), "blue", [], learn=True)
    agree(one, other)
    assert one.stats()["tenants"] == other.stats()["tenants"] == {"alice": 4, "bob": 4}
    for store in (one, other):
        for who in ("", "alice", "bob"):
            (found,) = store.search(key(30)[None], 12, tenant=who).neighbours
            assert {neighbour.tenant for neighbour in found} == {"", who}
    assert one.judge("r", None, "green", "bob").answer == "blue"
    agree(one, other)
    assert other.stats_of("bob")["confirmed"] == 1
    assert other.stats_of("alice")["confirmed"] == 0


@pytest.mark.timeout(60)
def test_all_agree_on_ids_and_evictions(opened: Open) -> None:
    """Three that write at once, far beyond the capacity, deletes and repetitions among it."""
    stores = [opened(f"r{n}", capacity=12) for n in range(3)]
    faults: list[Exception] = []

    def work(number: int) -> None:
        store = stores[number]
        try:
            for i in range(40):
                made = store.insert(experience(str(i), confidence=i % 7 / 10), key(i % 25))
                store.asked(f"{number}.{i}", experience("x"), key(100 + i), "x", [], learn=i % 3 == 0)
                if i % 5 == 0:
                    store.delete(made)
        except NotFound:
            pass  # another was quicker
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert not faults
    agree(*stores)
    assert len(stores[0]) == stores[0].stats()["indexed"] == 12
    assert all(store.verify().faults == [] for store in stores)


def test_what_all_refuse_changes_nobody(opened: Open) -> None:
    one, other = opened("one"), opened("other")
    made = one.insert(experience("red", experience_id="x"), key(1))
    wait(lambda: other.holds(made))
    entry_before = one.epoch
    with other._lock:  # the thread of `other` waits, so that it does not know of the deletion yet
        one.delete("x")
        with pytest.raises(NotFound):
            other.delete("x")
        with pytest.raises(NotFound):
            other.feedback("x", True)
    again = other.insert(experience("blue", experience_id="y"), key(2))
    with one._lock, pytest.raises(InvalidRequest, match="exists"):
        one.insert(experience("blue", experience_id=again), key(3))
    agree(one, other)
    assert (len(one), one.epoch) == (1, entry_before + 2)


def test_what_it_repeats_was_just_removed_by_another(opened: Open) -> None:
    one, other = opened("one"), opened("other")
    first = one.insert(experience("red"), key(1))
    wait(lambda: other.holds(first))
    with other._lock:
        one.delete(first)
        second = other.insert(experience("red"), key(1))
    assert second != first
    agree(one, other)
    with other._lock:
        one.delete(second)
        third = other.asked("r", experience("red"), key(1), "red", [], learn=True)
    agree(one, other)
    assert [n.experience_id for n in one.search(key(1)[None], 9).neighbours[0]] == [third]


def test_a_restart_goes_on_where_it_was(opened: Open) -> None:
    one, other = opened("one"), opened("other")
    fill(one, 5)
    agree(one, other)
    other.close()
    fill(one, 30, start=5)
    again = opened("other")
    assert state(again) == state(one), "caught up before it answers"
    third = opened("third")
    assert state(third) == state(one), "from the very beginning"
    assert third.epoch == one.epoch


def test_seeds_come_once(opened: Open, tmp_path: Path) -> None:
    folder = seeds(tmp_path / "2", 6)
    one, other = opened("one", seeds=folder), opened("other", seeds=folder)
    agree(one, other)
    assert len(one) == 6


@pytest.mark.timeout(60)
def test_redis_is_away_and_comes_back(opened: Open, server: Server) -> None:
    one, other = opened("one"), opened("other")
    fill(one, 3)
    agree(one, other)
    server.stop()
    with pytest.raises(Unavailable, match="not reached"):
        one.insert(experience(), key(9))
    start = time.monotonic()
    with pytest.raises(Unavailable, match="Nothing can be learned now"):
        one.insert(experience(), key(9))
    assert len(one.search(key(1)[None], 2, count=True).neighbours[0]) == 2
    assert time.monotonic() - start < 0.6, "searches and refusals wait for nobody"
    assert "not reached" in one.stats()["replica"]["fault"]
    late = opened("late")
    assert len(late) == 0, "a server starts without Redis"
    assert late.replica is not None
    assert (late.replica.reached, late.replica.written_s) == (False, 0)
    with pytest.raises(Unavailable):
        late.insert(experience(), key(9))
    server.start()
    wait(lambda: all(store.stats()["replica"]["fault"] is None for store in (one, other, late)))
    one.insert(experience("back"), key(9))
    agree(one, other, late)
    assert len(late) == 4, "what was acknowledged was on Redis's disk"


@pytest.mark.timeout(60)
def test_redis_hangs(opened: Open, server: Server) -> None:
    one = opened("one", read_timeout_s=0.3)
    fill(one, 3)
    server.signal(signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(Unavailable):
        one.insert(experience(), key(9))
    assert time.monotonic() - start < 1.5
    assert len(one.search(key(1)[None], 2).neighbours[0]) == 2
    server.signal(signal.SIGCONT)
    wait(lambda: one.stats()["replica"]["fault"] is None)
    one.insert(experience("10"), key(10))
    agree(one, opened("other"))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("how", ["trimmed", "deleted", "another"])
def test_a_log_that_lost_entries(opened: Open, server: Server, tmp_path: Path, how: str) -> None:
    one, other = opened("one"), opened("other")
    fill(one, 25)
    one.snapshot()
    agree(one, other)
    other.close()
    fill(one, 3, start=30)
    stream = "pixelis:experiences"
    if how == "trimmed":
        server.client.xtrim(stream, maxlen=1, approximate=False)
    else:
        server.client.delete(stream)
        if how == "another":
            fill(opened("third"), 2)
    again = opened("other")
    with pytest.raises(Unavailable, match="trimmed or lost") as caught:
        again.insert(experience(), key(9))
    assert ".snapshot of another" in str(caught.value)
    assert len(again) == len(again.search(key(1)[None], 99).neighbours[0]) == 25
    assert "trimmed or lost" in again.stats()["replica"]["fault"]
    if how == "trimmed":  # the one that has applied all of it goes on, and helps the other
        one.insert(experience("40"), key(40))
        one.snapshot()
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        shutil.copy(sorted((tmp_path / "one").glob("*.snapshot"))[-1], fresh)
        agree(one, opened("fresh"))
        nothing = opened("nothing")
        assert "lost its beginning" in nothing.stats()["replica"]["fault"]
    else:
        wait(lambda: "trimmed or lost" in str(one.stats()["replica"]["fault"]))
        with pytest.raises(Unavailable, match="trimmed or lost"):
            one.insert(experience(), key(9))


def test_what_redis_should_be_set_to_is_said(opened: Open, server: Server) -> None:
    assert opened("one").stats()["replica"]["warnings"] == []
    server.client.config_set("maxmemory-policy", "allkeys-lru")
    server.client.config_set("appendfsync", "everysec")
    said = " ".join(opened("two").stats()["replica"]["warnings"])
    assert "maxmemory-policy allkeys-lru: set it to noeviction" in said
    assert "appendfsync everysec: set it to always" in said


def test_redis_is_full(opened: Open, server: Server) -> None:
    one = opened("one")
    fill(one, 2)
    server.client.config_set("maxmemory", "1mb")
    with pytest.raises(Unavailable, match=r"refuses.*maxmemory"):
        fill(one, 2, start=5)
    assert len(one) == 2
    server.client.config_set("maxmemory", "0")
    wait(lambda: one.stats()["replica"]["fault"] is None)
    fill(one, 1, start=8)


@pytest.mark.parametrize("trusted", [True, False])
def test_encrypted(tmp_path: Path, trusted: bool) -> None:
    needs_redis()
    if shutil.which("openssl") is None:
        pytest.skip("openssl cannot be installed here: apt-get install openssl")
    (tmp_path / "redis").mkdir()
    server = Server(tmp_path / "redis", encrypted=True)
    try:
        url = server.url if trusted else server.url.partition("?")[0]
        config = Retrieval(cold_start_threshold=0, replicas=Replicas.model_validate({"url": url}))
        store = ExperienceStore(tmp_path / "one", config, width=WIDTH)
        if trusted:
            fill(store, 2)
        else:
            with pytest.raises(Unavailable, match="certificate verify failed"):
                fill(store, 2)
        store.close()
    finally:
        server.stop()


def test_a_full_disk_here_while_redis_has_it(opened: Open) -> None:
    one, other = opened("one"), opened("other")
    fill(one, 2)
    connection = one._ledger.database.connection
    connection.execute("PRAGMA max_page_count = 1")  # it cannot be less than what there is
    with pytest.raises(Unavailable, match="do not send it again"):
        fill(one, 30, start=10)
    assert one.verify().faults == []
    wait(lambda: len(other) > len(one))
    connection.execute("PRAGMA max_page_count = 1000000")
    agree(one, other)
    wait(lambda: one.stats()["replica"]["fault"] is None)
    fill(one, 1, start=90)
    agree(one, other)


def test_wrong_addresses(tmp_path: Path, server: Server) -> None:
    def store(url: str) -> ExperienceStore:
        return ExperienceStore(tmp_path / "one", Retrieval(replicas=Replicas.model_validate({"url": url})), width=WIDTH)

    with pytest.raises(SetupError, match="no URL"):
        store("nonsense")
    wrong = store(server.url.replace("open", "shut"))
    assert "fault" in wrong.stats()["replica"]
    assert "sesame" not in str(wrong.stats()) + repr(Replicas.model_validate({"url": server.url}))
    wrong.close()


def test_experiences_from_before_the_log_are_not_mixed_in(opened: Open, tmp_path: Path) -> None:
    alone = ExperienceStore(tmp_path / "one", Retrieval(), width=WIDTH)
    fill(alone, 2)
    alone.close()
    with pytest.raises(SetupError, match="not in the replicas' log") as caught:
        opened("one")
    assert "export" in str(caught.value.mend)


def test_an_entry_that_is_not_understood_stops_learning_only(opened: Open, server: Server) -> None:
    one = opened("one")
    fill(one, 2)
    server.client.xadd("pixelis:experiences", {"record": b"{}", "key": b"", "digest": b"?"})
    with pytest.raises(Unavailable, match="damaged, or no entry of ours"):
        fill(one, 1, start=5)
    assert len(one.search(key(1)[None], 5).neighbours[0]) == 2


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    shared = Replicas.model_validate({"url": "redis://127.0.0.1:1/0"})
    with pytest.raises(SetupError, match=r"pixelis-serving\[replicas\]"):
        ExperienceStore(tmp_path / "one", Retrieval(replicas=shared), width=WIDTH)
