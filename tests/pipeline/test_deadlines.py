"""Work that is waited for, and not longer."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from pixelis.errors import DeadlineExceeded, InvalidRequest, PixelisError, Unavailable
from python_backends.deadlines import Linger, Pool, abandoned, call_by, run_all, stream_by


def soon(seconds: float = 0.1) -> float:
    return time.time() + seconds


def refuse() -> int:
    raise InvalidRequest("no")


def test_what_is_done_in_time() -> None:
    assert call_by(soon(5), lambda: 3, "x") == 3
    with pytest.raises(InvalidRequest):
        call_by(soon(5), refuse, "x")


def test_what_hangs_is_left_behind_and_counted() -> None:
    forever, before = threading.Event(), abandoned.value
    started = time.time()
    with pytest.raises(DeadlineExceeded, match="`policy`"):
        call_by(soon(), forever.wait, "policy")
    assert time.time() - started < 2
    assert abandoned.value == before + 1
    forever.set()


def test_streams() -> None:
    assert list(stream_by(soon(5), lambda: [1, 2, 3], "x")) == [1, 2, 3]

    def broken() -> Iterator[int]:
        yield 1
        raise InvalidRequest("no")

    items = stream_by(soon(5), broken, "x")
    assert next(items) == 1
    with pytest.raises(InvalidRequest):
        next(items)


def test_a_stream_that_stops_sending() -> None:
    forever = threading.Event()

    def hangs() -> Iterator[int]:
        yield 1
        forever.wait()

    with pytest.raises(DeadlineExceeded, match="stopped sending"):
        list(stream_by(soon(), hangs, "policy"))
    forever.set()


def test_jobs_of_a_batch_run_side_by_side_and_fail_alone() -> None:
    barrier, forever = threading.Barrier(3), threading.Event()

    def meets() -> int:
        barrier.wait(5)
        return 1

    found = run_all([meets, meets, meets, refuse, forever.wait], [soon(5)] * 4 + [soon()], "x")
    assert found[:3] == [1, 1, 1]
    assert [type(one) for one in found[3:]] == [InvalidRequest, DeadlineExceeded]
    assert all(isinstance(one, PixelisError) for one in found[3:])
    forever.set()


def test_a_pool_runs_at_most_its_size_and_everything_in_the_end() -> None:
    pool, lock, done = Pool(3, "test"), threading.Lock(), threading.Semaphore(0)
    now = [0, 0]

    def work() -> None:
        with lock:
            now[0] += 1
            now[1] = max(now)
        time.sleep(0.01)
        with lock:
            now[0] -= 1
        done.release()

    for _ in range(20):
        pool.submit(work)
    assert all(done.acquire(timeout=5) for _ in range(20))
    assert now == [0, 3]


def test_references_linger() -> None:
    class Value:
        pass

    lingering = Linger(0.2)
    first = Value()
    seen = weakref.ref(first)
    lingering.keep(first)
    del first
    lingering.keep(Value())
    assert seen() is not None
    time.sleep(0.25)
    lingering.keep(Value())
    assert seen() is None
    assert len(lingering) == 1


def test_a_stream_whose_other_side_is_gone_ends_soon() -> None:
    forever = threading.Event()

    def hangs() -> Iterator[int]:
        yield 1
        forever.wait()

    started = time.time()
    items = stream_by(soon(30), hangs, "policy", lost=lambda: True)
    assert next(items) == 1
    with pytest.raises(Unavailable, match="`policy` died in the middle"):
        next(items)
    assert time.time() - started < 5
    forever.set()


def test_what_was_sent_before_the_end_is_still_read() -> None:
    def late() -> Iterator[int]:
        time.sleep(0.4)  # it is found dead meanwhile
        yield 1

    assert list(stream_by(soon(5), late, "policy", lost=lambda: True)) == [1]


def test_a_pool_that_gets_no_more_threads_goes_on_with_those_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, done = Pool(4, "few"), queue.SimpleQueue[int]()
    go = threading.Event()
    pool.submit(lambda: (go.wait(9), done.put(0))[1])

    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none)
        pool.submit(lambda: done.put(1))
        with pytest.raises(RuntimeError):
            Pool(4, "none").submit(lambda: done.put(9))
    pool.submit(lambda: done.put(2))  # by a thread of its own
    go.set()
    assert {done.get(timeout=9) for _ in range(3)} == {0, 1, 2}
