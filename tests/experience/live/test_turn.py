"""The lock of the live index: first come, first served."""

from __future__ import annotations

import threading
import time

import pytest

from python_backends.experience.live.turn import FairLock


def started(lock: FairLock, order: list[int], number: int) -> threading.Thread:
    """A thread that waits in the queue."""

    def take() -> None:
        with lock:
            order.append(number)

    waiting = lock.waiting
    thread = threading.Thread(target=take)
    thread.start()
    while lock.waiting == waiting:
        time.sleep(0.001)
    return thread


def test_it_is_given_in_the_order_in_which_it_was_asked_for() -> None:
    lock, order = FairLock(), list[int]()
    with lock:
        threads = [started(lock, order, number) for number in range(20)]
    with lock:
        order.append(20)
    for thread in threads:
        thread.join(5)
    assert order == list(range(21))
    assert lock.waiting == 0


def test_it_excludes_and_survives_errors() -> None:
    lock, inside, most = FairLock(), 0, 0

    def count() -> None:
        nonlocal inside, most
        for _ in range(200):
            with lock:
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (most, inside) == (1, 0)
    with pytest.raises(ValueError, match="broken"), lock:
        raise ValueError("broken")
    with lock:
        assert lock.waiting == 0


@pytest.mark.parametrize("handed_over", [False, True])
def test_one_that_gives_up_waiting_leaves_the_lock_to_the_next(handed_over: bool) -> None:
    lock, order = FairLock(), list[int]()
    with lock:
        turn = threading.Lock()
        turn.acquire()
        lock._queue.append(turn)  # as `__enter__` does before it waits
        next_one = started(lock, order, 1)
        if not handed_over:
            lock._leave(turn)
    if handed_over:
        assert order == []
        lock._leave(turn)
    next_one.join(5)
    assert order == [1]
    assert not lock._held
