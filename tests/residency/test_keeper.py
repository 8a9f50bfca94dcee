"""The rule by which checkpoints share a server's memory, without a server."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pixelis.errors import DeadlineExceeded, ServingError, Unavailable
from python_backends.residency.keeper import Keeper
from python_backends.residency.kept import State
from tests.residency.fake import FakeLoader, Told
from tests.waiting import until


def keeper(loader: FakeLoader, budget: int | None, told: Told | None = None, **how: float) -> Keeper:
    return Keeper(loader, budget, told or Told(), **{"turn_s": 0.0, **how})


def soon(seconds: float = 30.0) -> float:
    return time.time() + seconds


def used(one: Keeper, *names: str) -> None:
    for name in names:
        one.release(one.lease(name, soon()).id)


def test_what_is_there_is_granted_at_once() -> None:
    loader = FakeLoader({"a": 1}, there={"a"})
    lease = keeper(loader, 1).lease("a", soon())
    assert not lease.loaded
    assert loader.loads == []


def test_without_a_budget_everything_stays() -> None:
    loader = FakeLoader({"a": 5, "b": 5, "c": 5})
    one = keeper(loader, None)
    used(one, "a", "b", "c", "a")
    assert (loader.loads, loader.unloads) == (["a", "b", "c"], [])


def test_those_of_least_recent_use_go_and_no_more_than_needed() -> None:
    loader = FakeLoader({"a": 2, "b": 2, "c": 2, "d": 3})
    one = keeper(loader, 6)
    used(one, "a", "b", "c", "a", "d")
    assert sorted(loader.unloads) == ["b", "c"]
    used(one, "b")
    assert loader.unloads[2:] == ["a"]
    assert loader.most <= 6


def test_what_somebody_uses_stays() -> None:
    loader = FakeLoader({"a": 2, "b": 2, "c": 2})
    one = keeper(loader, 4)
    held = one.lease("a", soon())
    used(one, "b", "c")
    assert loader.unloads == ["b"], "a is of least recent use, and held"
    one.release(held.id)
    used(one, "b")
    assert loader.unloads == ["b", "c"], "a was used until now"


def test_who_waits_gets_it_when_a_lease_ends() -> None:
    loader = FakeLoader({"a": 2, "b": 2})
    one = keeper(loader, 3)
    held = one.lease("a", soon())
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(one.lease, "b", soon())
        time.sleep(0.1)
        assert not waiting.done()
        one.release(held.id)
        assert waiting.result(30).waited_s >= 0.1
    assert (loader.unloads, loader.most) == (["a"], 2)


def test_who_waits_for_too_long_is_told() -> None:
    loader = FakeLoader({"a": 2, "b": 2})
    one = keeper(loader, 3)
    one.lease("a", soon())
    with pytest.raises(DeadlineExceeded, match="no room in memory for the checkpoint `b`"):
        one.lease("b", soon(0.2))
    assert (loader.loads, loader.unloads) == (["a"], [])


def test_a_lease_ends_by_itself() -> None:
    """Its process may have died."""
    loader, told = FakeLoader({"a": 2, "b": 2}, there={"a"}), Told()
    one = keeper(loader, 3, told, grace_s=0.1)
    ends = soon(0.3)
    lost = one.lease("a", ends)
    one.lease("b", soon())
    assert time.time() >= ends + 0.1
    assert ("expired", "a") in told.said
    one.release(lost.id)  # too late, and no error


def test_one_load_for_all_who_wait() -> None:
    loader = FakeLoader({"a": 1}, seconds=0.1)
    one = keeper(loader, 1)
    with ThreadPoolExecutor(8) as pool:
        leases = list(pool.map(lambda _: one.lease("a", soon()), range(8)))
    assert loader.loads == ["a"]
    assert len({lease.id for lease in leases}) == 8


def test_a_failed_load_is_told_to_who_waits_and_not_remembered() -> None:
    loader, told = FakeLoader({"a": 1}, broken={"a"}), Told()
    loader.held.clear()
    one = keeper(loader, 1, told)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(one.lease, "a", soon()) for _ in range(4)]
        assert until(lambda: loader.loads == ["a"], 30)
        time.sleep(0.1)
        loader.held.set()
        for each in waiting:
            with pytest.raises(ServingError, match="broken"):
                each.result(30)
    assert loader.loads == ["a"]
    loader.broken.clear()
    assert one.lease("a", soon()).loaded
    assert told.said == [("failed", "a"), ("loaded", "a")]


def test_one_that_exceeds_the_budget_alone_is_refused_with_both_numbers() -> None:
    loader = FakeLoader({"a": 2, "b": 5 * 2**20}, there={"a"})
    one = keeper(loader, 3 * 2**20)
    with pytest.raises(Unavailable, match=r"takes 5 MiB of memory .* may take 3 MiB"):
        one.lease("b", soon())
    assert loader.unloads == []


def test_what_grew_over_the_budget_goes_when_nobody_uses_it() -> None:
    loader = FakeLoader({"a": 2, "b": 2}, there=set())
    one = keeper(loader, 4)
    used(one, "a")
    held = one.lease("b", soon())
    loader.sizes["b"] = 3
    one.look()
    assert until(lambda: loader.unloads == ["a"])
    loader.sizes["b"] = 5
    one.look()
    one.release(held.id)
    one.look()
    assert loader.unloads == ["a"], "the only one stays, and is refused to the next one"
    with pytest.raises(Unavailable):
        one.lease("b", soon())


def test_who_only_looks_loads_nothing_and_is_no_use() -> None:
    loader = FakeLoader({"a": 2, "b": 2, "c": 2})
    one = keeper(loader, 4)
    with pytest.raises(Unavailable, match="not in memory"):
        one.lease("a", soon(), load=False)
    used(one, "a", "b")
    one.release(one.lease("a", soon(), load=False).id)
    used(one, "c")
    assert loader.unloads == ["a"]


def test_what_an_operator_does_is_noticed() -> None:
    loader = FakeLoader({"a": 2, "b": 2, "c": 2})
    one = keeper(loader, 4)
    used(one, "a")
    loader.there.add("b")
    used(one, "c")
    assert loader.unloads == ["b"], "never used here, so of least recent use"
    loader.there.discard("a")
    loader._memory.discard("a")
    used(one, "a")
    assert loader.loads == ["a", "c", "a"]
    assert {kept.name: kept.state for kept in one.all()} == {
        "a": State.RESIDENT,
        "b": State.ABSENT,
        "c": State.RESIDENT,
    }


def test_newcomers_stand_back_for_who_waits_for_room() -> None:
    """Or one that is asked for without a pause would never leave."""
    loader = FakeLoader({"a": 2, "b": 2})
    one = keeper(loader, 3)
    first = one.lease("a", soon())
    with ThreadPoolExecutor() as pool:
        b = pool.submit(one.lease, "b", soon())
        time.sleep(0.1)
        later = pool.submit(one.lease, "a", soon())
        time.sleep(0.1)
        assert not later.done()
        one.release(first.id)
        one.release(b.result(30).id)
        assert later.result(30).loaded


def test_one_has_its_turn_before_newcomers_stand_back() -> None:
    loader = FakeLoader({"a": 2, "b": 2})
    one = keeper(loader, 3, turn_s=30.0)
    first = one.lease("a", soon())
    with ThreadPoolExecutor() as pool:
        b = pool.submit(one.lease, "b", soon(0.5))
        time.sleep(0.1)
        one.release(one.lease("a", soon()).id)
        with pytest.raises(DeadlineExceeded):
            b.result(30)
    one.release(first.id)


def test_many_at_once_never_exceed_the_budget_and_all_are_answered() -> None:
    loader = FakeLoader({"a": 3, "b": 2, "c": 1, "d": 2}, seconds=0.01)
    one = keeper(loader, 5)
    working: dict[str, int] = dict.fromkeys(loader.sizes, 0)
    guard = threading.Lock()

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(12):
            name = rng.choice("abcd")
            lease = one.lease(name, soon())
            with guard:
                working[name] += 1
                assert name in loader.there
            time.sleep(rng.random() * 0.005)
            with guard:
                assert name in loader.there, "unloaded under a lease"
                working[name] -= 1
            one.release(lease.id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert loader.most <= 5
    assert set(working.values()) == {0}
    assert all(not kept.leases for kept in one.all())
