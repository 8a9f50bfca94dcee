"""The tiers as one, and single flight in a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_backends.caching import Cache
from tests.caching.conftest import cache, key


class Computed:
    """Values that follow from their numbers; notes what it is asked."""

    def __init__(self, numbers: Sequence[int], seconds: float = 0.0) -> None:
        self.numbers, self.seconds, self.calls = numbers, seconds, list[list[int]]()

    def __call__(self, places: Sequence[int]) -> list[str]:
        self.calls.append([self.numbers[i] for i in places])
        time.sleep(self.seconds)
        return [f"value {self.numbers[i]}" for i in places]


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=8))
def test_only_misses_are_computed_each_once_in_one_call_and_in_order(batches: list[list[int]]) -> None:
    made, known = cache(policy="lru"), set[int]()
    for batch in batches:
        work = Computed(batch)
        assert made.get_many([key(n) for n in batch], work) == [f"value {n}" for n in batch]
        new = list(dict.fromkeys(n for n in batch if n not in known))
        assert work.calls == ([new] if new else [])
        known |= set(batch)
    assert made.usage.computed == len(known)


def test_what_must_not_be_kept_is_not() -> None:
    made = cache()
    for _ in range(2):
        work = Computed([1, 2])
        made.get_many([key(1), key(2)], work, keep=lambda value: value == "value 1")
    assert work.calls == [[2]]


def test_a_failed_computation_is_raised_and_not_kept() -> None:
    made = cache()

    def fail(_: Sequence[int]) -> list[str]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        made.get_many([key(1)], fail)
    assert made.get(key(1)) is None
    assert made.get_or(key(1), lambda: "yes") == ("yes", False)
    assert made.get_or(key(1), lambda: "again") == ("yes", True)


@pytest.mark.parametrize("off", [{"entries": 0}, {"bytes": 0}])
def test_switched_off_everything_is_computed(off: dict[str, int]) -> None:
    made, work = cache(**off), Computed([1, 1])
    assert made.get_many([key(1), key(1)], work) == ["value 1"] * 2
    made.put(key(1), "x")
    assert (made.get(key(1)), work.calls, made.get_many([], work)) == (None, [[1, 1]], [])


def run(made: Cache[str], numbers: Sequence[Sequence[int]], work: Sequence[Computed]) -> list[object]:
    """All calls at once; their results or errors."""
    results: list[object] = [None] * len(numbers)
    begin = threading.Barrier(len(numbers))

    def one(i: int) -> None:
        begin.wait()
        try:
            results[i] = made.get_many([key(n) for n in numbers[i]], work[i])
        except ValueError as error:
            results[i] = error

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(numbers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


def test_concurrent_misses_compute_once() -> None:
    made, work = cache(), Computed([1, 2], 0.1)
    assert run(made, [[1, 2]] * 32, [work] * 32) == [["value 1", "value 2"]] * 32
    assert work.calls == [[1, 2]]
    assert made.usage.computed == 2


def test_overlapping_batches_wait_for_each_other_without_a_deadlock() -> None:
    for _ in range(20):
        made = cache()
        batches = [[1, 2, 3], [3, 2, 1], [2, 4], [4, 1], [3, 4]]
        work = [Computed(batch, 0.002) for batch in batches]
        assert run(made, batches, work) == [[f"value {n}" for n in batch] for batch in batches]
        computed = [n for one in work for call in one.calls for n in call]
        assert sorted(computed) == [1, 2, 3, 4]


def test_when_the_first_fails_the_others_see_to_themselves() -> None:
    made, count, lock = cache(), [0], threading.Lock()

    class Once(Computed):
        def __call__(self, places: Sequence[int]) -> list[str]:
            with lock:
                count[0] += 1
                first = count[0] == 1
            time.sleep(0.1)
            if first:
                raise ValueError("the first")
            return super().__call__(places)

    results = run(made, [[1]] * 8, [Once([1])] * 8)
    assert sum(isinstance(one, ValueError) for one in results) == 1
    assert [one for one in results if not isinstance(one, ValueError)] == [["value 1"]] * 7
    assert made.get(key(1)) == "value 1"


def test_nobody_waits_longer_than_he_may() -> None:
    made, begun = cache(), threading.Event()

    def slow(_: Sequence[int]) -> list[str]:
        begun.set()
        time.sleep(1.0)
        return ["slow"]

    thread = threading.Thread(target=lambda: made.get_many([key(1)], slow))
    thread.start()
    begun.wait()
    started = time.monotonic()
    assert made.get_many([key(1)], lambda _: ["own"], wait_s=0.1) == ["own"]
    assert time.monotonic() - started < 0.8
    thread.join()


def test_statistics() -> None:
    made = cache()
    for number in (1, 2, 1, 1, 3):
        made.get_or(key(number), lambda: "x")
    stats = made.stats()
    assert (stats["asked"], stats["hits"], stats["computed"], stats["hit_rate"]) == (5, 2, 3, 0.4)
    assert stats["top"][0] == {"key": key(1).name, "asked": 3, "over": 0}
    assert stats["reuse_distance"] == {"0": 1, "1": 1}
    assert stats["bytes_by_prefix"]["thing"] == stats["tiers"]["memory"]["bytes"] > 0
    assert stats["asked_per_second"] > 0


def test_the_names_asked_for_most_are_found_among_many() -> None:
    made = cache(entries=10, bytes=10_000)
    for number in range(3000):
        made.get(key(number))
        if number % 3 == 0:
            made.get(key(7))
    top = made.stats()["top"][0]
    assert top["key"] == key(7).name
    assert top["asked"] - top["over"] <= 1001 <= top["asked"]
