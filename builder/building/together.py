"""Several at the same time, each in a process of its own that a thread of this one waits for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from builder.building.child import end_running

Work = TypeVar("Work")
Done = TypeVar("Done")


def together(work: Sequence[Work], jobs: int, one: Callable[[Work], Done]) -> list[Done]:
    """`one` of everything, `jobs` at a time; what came of it, in the order of `work`.

    What `one` raises ends those at work and starts no more, as an interrupt does. One at a time runs in this thread,
    where an interrupt ends a copy of gigabytes too.
    """
    if jobs <= 1:
        return [one(each) for each in work]
    pool = ThreadPoolExecutor(jobs)
    try:
        futures = [pool.submit(one, each) for each in work]
        for future in wait(futures, return_when=FIRST_EXCEPTION).done:
            future.result()
        return [future.result() for future in futures]
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        end_running()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
