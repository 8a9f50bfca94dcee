"""Work with a deadline: in a thread of its own, waited for until a moment, and no longer.

A call into another process can hang for ever when that process dies, and Python cannot stop a thread. So the
work runs in a daemon thread, the waiter gives up at the deadline with a typed error, and the thread that did not
come back is counted (`abandoned`) and left behind.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import copy_context
from functools import partial
from typing import Generic, TypeVar

from pixelis.errors import DeadlineExceeded, Unavailable

T = TypeVar("T")
_END = object()

LOOK_SECONDS = 0.25
"""How often a reader that waits looks around: whether the other side still lives, whether anybody wants the rest."""


class Counter:
    """A number that threads may add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 0

    def add(self, amount: int = 1) -> None:
        """Add `amount`."""
        with self._lock:
            self._value += amount

    @property
    def value(self) -> int:
        """The sum so far."""
        return self._value


abandoned = Counter()
"""Threads of this process that did not come back by their deadline."""


class Job(Generic[T]):
    """`work` in a daemon thread, in the caller's context; `result` waits for it."""

    def __init__(self, work: Callable[[], T], what: str) -> None:
        self._work = work
        self._what = what
        self._done = threading.Event()
        self._value: T
        self._error: BaseException | None = None
        threading.Thread(target=copy_context().run, args=(self._run,), name=what, daemon=True).start()

    def _run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # it is raised again where the result is asked for
            self._error = error
        self._done.set()

    def result(self, deadline: float) -> T:
        """What the work returned, or its exception.

        Args:
            deadline: seconds since the epoch.

        Raises:
            DeadlineExceeded: it did not end in time; its thread is left behind.
        """
        if not self._done.wait(max(0.0, deadline - time.time())):
            abandoned.add()
            raise DeadlineExceeded(f"`{self._what}` did not answer in time.", mend="Raise `timeout_s`.")
        if self._error is not None:
            raise self._error
        return self._value


def call_by(deadline: float, work: Callable[[], T], what: str) -> T:
    """`work()` if it ends by `deadline` (seconds since the epoch), else `DeadlineExceeded`."""
    return Job(work, what).result(deadline)


def _never() -> bool:
    return False


class Bell(Generic[T]):
    """Wakes whoever waits for a stream's next item, to look around.

    Args:
        idle: what the reader gets instead of an item, when it is rung, and a few times a second while nothing comes.
    """

    def __init__(self, idle: T) -> None:
        self.idle = idle
        self.items: queue.SimpleQueue[object] = queue.SimpleQueue()

    def ring(self) -> None:
        """Any thread may."""
        self.items.put(self.idle)


def stream_by(
    deadline: float,
    open_stream: Callable[[], Iterable[T]],
    what: str,
    lost: Callable[[], bool] = _never,
    bell: Bell[T] | None = None,
) -> Iterator[T]:
    """The items of `open_stream()`, read in a thread.

    A consumer that stops early leaves the thread reading to the stream's end, which is what a Triton
    stream needs: an unread one blocks its sender.

    Args:
        deadline: seconds since the epoch.
        open_stream: called in the thread.
        what: its name in errors.
        lost: asked while an item is waited for: is it certain that no more will come?
        bell: wakes the reader; none = it sleeps until an item comes.

    Raises:
        DeadlineExceeded: the next item is not there in time.
        Unavailable: `lost` said so.
    """
    items: queue.SimpleQueue[object] = bell.items if bell else queue.SimpleQueue()

    def read() -> None:
        try:
            for item in open_stream():
                items.put(item)
        except BaseException as error:  # raised again at the reader
            items.put(_Failure(error))
        items.put(_END)

    threading.Thread(target=read, name=what, daemon=True).start()
    wait = _Wait(deadline, what, lost)
    while True:
        try:
            item = items.get(timeout=wait.seconds())
        except queue.Empty:
            wait.look()
            if bell is not None:
                yield bell.idle
            continue
        if item is _END:
            return
        if isinstance(item, _Failure):
            raise item.error
        yield item  # type: ignore[misc]


class _Wait:
    """For the next item: until the deadline, with a look now and then whether the other side still lives."""

    def __init__(self, deadline: float, what: str, lost: Callable[[], bool]) -> None:
        self._deadline = deadline
        self._what = what
        self._lost = lost
        self._gone = False

    def seconds(self) -> float:
        """How long to wait before the next look."""
        return min(max(0.0, self._deadline - time.time()), LOOK_SECONDS)

    def look(self) -> None:
        """Nothing came: raise what `stream_by` raises, or wait on."""
        what = self._what
        if time.time() >= self._deadline:
            abandoned.add()
            raise DeadlineExceeded(f"`{what}` stopped sending before its end.", mend="Raise `timeout_s`.")
        if self._gone:  # and what it had sent before has had its time to arrive
            abandoned.add()
            raise Unavailable(f"Model `{what}` died in the middle of this request.", mend="Try again.")
        self._gone = self._lost()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def run_all(jobs: Sequence[Callable[[], T]], deadlines: Sequence[float], what: str) -> list[T | BaseException]:
    """All `jobs` at once, each waited for until its own deadline; an exception stands in its job's place."""
    started = [Job(job, what) for job in jobs]
    results: list[T | BaseException] = []
    for job, deadline in zip(started, deadlines, strict=True):
        try:
            results.append(job.result(deadline))
        except BaseException as error:  # handed to the caller as this job's outcome
            results.append(error)
    return results


class Linger:
    """Holds references for `seconds` at least; what is older goes when something new comes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._held: deque[tuple[float, object]] = deque()

    def keep(self, value: object) -> None:
        """Hold `value`."""
        now, gone = time.monotonic(), []
        with self._lock:
            self._held.append((now, value))
            while now - self._held[0][0] > self._seconds:
                gone.append(self._held.popleft())
        del gone  # what its end costs, it costs outside the lock

    def __len__(self) -> int:
        return len(self._held)


class Pool:
    """At most `size` daemon threads that take work from one queue.

    Daemon threads, unlike those of `concurrent.futures`: a stub that is told to stop must not wait for a stuck one.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def submit(self, work: Callable[[], None]) -> None:
        """Queue `work`, which must handle its own exceptions.

        Raises:
            RuntimeError: the system gives no thread, and there is none yet; `work` is not done then.
        """
        work = partial(copy_context().run, work)
        with self._lock:
            if self._idle > 0 or self._threads >= self._size or not self._grown():
                self._idle -= 1
        self._work.put(work)

    def _grown(self) -> bool:
        """Whether there is one thread more; without one the work waits for those that there are."""
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError:
            if not self._threads:
                raise
            return False
        self._threads += 1
        return True

    def _run(self) -> None:
        while True:
            self._work.get()()
            with self._lock:
                self._idle += 1
