"""The rule by which checkpoints share a server's memory.

a lease      is asked for before a checkpoint is used, and given back afterwards; it ends by itself a while after the
             request's deadline, so that a process that has died keeps nothing in memory
on demand    a checkpoint that is not there is loaded, once, for all who wait
the budget   before that, those of least recent use that nobody holds are unloaded until the sum fits; where too
             many are held it waits. What is loading and what is not yet gone counts
in turn      who waits longest for room is served first. Where a checkpoint is asked for without a pause, newcomers
             stand back for who waits, once it has had a turn as long as a swap takes
a failure    is told to those who wait for this load, and not remembered
"""

from __future__ import annotations

import threading
import time
import uuid

from pixelis.errors import DeadlineExceeded, PixelisError, ServingError, Unavailable
from python_backends.residency.kept import Kept, Lease, Loader, State, Waiter, Watch

GRACE_S = 5.0
"""How long after its request's deadline a lease that was not given back ends."""
TURN_S = 1.0
"""How long a checkpoint answers newcomers, at least, while another one waits for its room."""
_PASSIVE = "passive-"
"""Leases of those that only look begin so; they do not count as use."""
NAP_S = 0.25
"""How often who waits looks again, also where nothing was heard."""


class Keeper:
    """Grants leases. For any number of threads.

    Args:
        loader: does the loading.
        budget: bytes that all checkpoints may take together; none = no limit.
        watch: is told what happens.
        grace_s: see `GRACE_S`.
        turn_s: see `TURN_S`.
    """

    def __init__(
        self, loader: Loader, budget: int | None, watch: Watch, *, grace_s: float = GRACE_S, turn_s: float = TURN_S
    ) -> None:
        self._loader, self._budget, self._watch = loader, budget, watch
        self._grace_s, self._turn_s = grace_s, turn_s
        self._changed = threading.Condition()
        self._kept: dict[str, Kept] = {}
        self._queue: list[Waiter] = []

    def lease(self, name: str, deadline: float, *, load: bool = True) -> Lease:
        """The right to use `name`, as soon as it is in memory.

        Args:
            name: of a checkpoint that there is.
            deadline: of the request, in seconds since the epoch.
            load: whether it is waited for; else it is there now, and this does not count as use.

        Raises:
            Unavailable: it alone exceeds the budget; or it is not there, and not to be loaded.
            DeadlineExceeded: there was no room for it in time, or it was not loaded in time.
            PixelisError: it does not load.
        """
        waiter = Waiter(name, time.monotonic())
        with self._changed:
            kept = self._find(name)
            if not load:
                return self._if_there(kept, deadline)
            self._queue.append(waiter)
            try:
                while (granted := self._step(waiter, kept, deadline)) is None:
                    self._changed.wait(max(0.0, min(NAP_S, deadline - time.time())))
            finally:
                self._queue.remove(waiter)
                self._changed.notify_all()
        self._watch.waited(name, granted.waited_s)
        return granted

    def release(self, lease: str) -> None:
        """Give a lease back; one that has ended by itself is no error."""
        with self._changed:
            for kept in self._kept.values():
                if kept.leases.pop(lease, None) is not None:
                    kept.used = kept.used if lease.startswith(_PASSIVE) else time.monotonic()
                    self._changed.notify_all()

    def look(self) -> None:
        """Measure what is in memory; what has grown over the budget is unloaded, as far as nobody holds it.

        Triton is not asked for anything: see `python_backends.serving.residency`.
        """
        with self._changed:
            self._expire()
            there = [kept.name for kept in self._kept.values() if kept.state is State.RESIDENT]
        for name in there:
            self._loader.look(name)
        with self._changed:
            staying = [kept for kept in self._kept.values() if kept.state in (State.LOADING, State.RESIDENT)]
            if self._budget is not None and len(staying) > 1:
                self._unload_idle(sum(map(self._size, staying)) - self._budget)

    def all(self) -> list[Kept]:
        """Every checkpoint that there is, as it is known now."""
        with self._changed:
            self._expire()
            found = [self._find(name) for name in self._loader.names()]
            for kept in found:
                self._sync(kept)
            return [Kept(**{**vars(kept), "leases": dict(kept.leases)}) for kept in found]

    def _find(self, name: str) -> Kept:
        return self._kept.setdefault(name, Kept(name))

    def _size(self, kept: Kept) -> int:
        return self._loader.size(kept.name).bytes

    def _step(self, waiter: Waiter, kept: Kept, deadline: float) -> Lease | None:
        """One look at what a request waits for: a lease, none yet, or why there will be none."""
        self._expire()
        self._sync(kept)
        self._refuse_too_large(kept)
        if waiter.attempt is not None and kept.failed is not None and kept.failed[0] >= waiter.attempt:
            raise kept.failed[1]
        if kept.state is State.RESIDENT and not self._stands_back(waiter, kept):
            return self._grant(waiter, kept, deadline)
        if kept.state is State.ABSENT and self._head() is waiter:
            self._make_room(kept)
        if kept.state is State.LOADING and waiter.attempt is None:
            waiter.attempt = kept.attempt
        if time.time() >= deadline:
            raise self._late(kept)
        return None

    def _if_there(self, kept: Kept, deadline: float) -> Lease:
        self._sync(kept)
        if kept.state is not State.RESIDENT:
            raise Unavailable(f"The checkpoint `{kept.name}` is not in memory.")
        lease = Lease(f"{_PASSIVE}{uuid.uuid4().hex}", 0.0, False)
        kept.leases[lease.id] = deadline + self._grace_s
        return lease

    def _grant(self, waiter: Waiter, kept: Kept, deadline: float) -> Lease:
        lease = Lease(uuid.uuid4().hex, time.monotonic() - waiter.since, waiter.attempt is not None)
        kept.leases[lease.id] = deadline + self._grace_s
        kept.used = time.monotonic()
        return lease

    def _expire(self) -> None:
        now = time.time()
        for kept in self._kept.values():
            for lease in [lease for lease, ends in kept.leases.items() if ends < now]:
                del kept.leases[lease]
                self._watch.expired(kept.name)

    def _sync(self, kept: Kept) -> None:
        """Somebody else may have loaded it, when the server started for instance, or unloaded it."""
        if kept.state in (State.ABSENT, State.RESIDENT):
            kept.state = State.RESIDENT if self._loader.loaded(kept.name) else State.ABSENT

    def _refuse_too_large(self, kept: Kept) -> None:
        size = self._loader.size(kept.name)
        if self._budget is not None and size.bytes > self._budget:
            raise Unavailable(
                f"The checkpoint `{kept.name}` takes {_mib(size.bytes)} of memory ({size.source}), and all together "
                f"may take {_mib(self._budget)}.",
                mend="Raise PIXELIS_SERVER__MODEL_MEMORY_BYTES, lower PIXELIS_DECODING__CACHE_BYTES or __PREFIX_BYTES, "
                "or publish it in a smaller form.",
            )

    def _late(self, kept: Kept) -> PixelisError:
        if kept.state is State.LOADING:
            return DeadlineExceeded(f"The checkpoint `{kept.name}` was not loaded in time.", mend="Raise `timeout_s`.")
        return DeadlineExceeded(
            f"There was no room in memory for the checkpoint `{kept.name}` in time: others are in use.",
            mend="Raise `timeout_s`, or PIXELIS_SERVER__MODEL_MEMORY_BYTES.",
        )

    def _head(self) -> Waiter | None:
        """Who has waited longest for a checkpoint that is not there."""
        return next((one for one in self._queue if self._find(one.name).state is State.ABSENT), None)

    def _stands_back(self, waiter: Waiter, kept: Kept) -> bool:
        """Whether a newcomer leaves a checkpoint's memory to somebody who has waited for longer."""
        head = self._head()
        if self._budget is None or head is None or self._queue.index(head) > self._queue.index(waiter):
            return False
        wanted = self._find(head.name)
        turn = max(self._turn_s, kept.load_s, wanted.load_s)
        if time.monotonic() - max(head.since, kept.ready_at) < turn:
            return False
        return kept in self._in_the_way(self._excess(wanted, self._budget))

    def _in_the_way(self, excess: int) -> list[Kept]:
        """Whose memory would be enough: those that nobody holds first, and of least recent use."""
        there = [kept for kept in self._kept.values() if kept.state is State.RESIDENT]
        found: list[Kept] = []
        for kept in sorted(there, key=lambda one: (bool(one.leases), one.used)):
            if excess <= 0:
                break
            found.append(kept)
            excess -= self._size(kept)
        return found

    def _taken(self) -> int:
        return sum(self._size(kept) for kept in self._kept.values() if kept.state is not State.ABSENT)

    def _excess(self, wanted: Kept, budget: int) -> int:
        """Bytes by which the sum would exceed the budget, once those are gone that are leaving."""
        staying = (kept for kept in self._kept.values() if kept.state in (State.LOADING, State.RESIDENT))
        return sum(map(self._size, staying)) + self._size(wanted) - budget

    def _make_room(self, wanted: Kept) -> None:
        """Begin to load, or to unload what is in the way; where too much of that is held, nothing yet."""
        if self._budget is not None:
            for name in self._loader.names():
                self._sync(self._find(name))
            if wanted.state is not State.ABSENT:
                return
            if self._taken() + self._size(wanted) > self._budget:
                excess = self._excess(wanted, self._budget)
                if not any(kept.leases for kept in self._in_the_way(excess)):
                    self._unload_idle(excess)
                return
        wanted.state = State.LOADING
        wanted.attempt += 1
        threading.Thread(target=self._load, args=(wanted,), name=f"load-{wanted.name}", daemon=True).start()

    def _unload_idle(self, excess: int) -> None:
        """Begin to unload, as far as nobody holds it."""
        for kept in self._in_the_way(excess):
            if not kept.leases:
                kept.state = State.LEAVING
                threading.Thread(target=self._unload, args=(kept,), name=f"unload-{kept.name}", daemon=True).start()

    def _load(self, kept: Kept) -> None:
        began, error = time.monotonic(), None
        try:
            self._loader.load(kept.name)
        except Exception as problem:
            error = _typed(problem, kept.name)
        seconds = time.monotonic() - began
        with self._changed:
            kept.failed = None if error is None else (kept.attempt, error)
            kept.state = State.ABSENT if error is not None else State.RESIDENT
            kept.used = kept.ready_at = time.monotonic()
            kept.load_s = seconds if error is None else kept.load_s
            self._changed.notify_all()
        if error is None:
            self._watch.loaded(kept.name, seconds)
        else:
            self._watch.failed(kept.name, error)

    def _unload(self, kept: Kept) -> None:
        error = None
        try:
            self._loader.unload(kept.name)
        except Exception as problem:
            error = _typed(problem, kept.name)
        with self._changed:
            kept.state = State.ABSENT  # where it is still there, the next look finds it
            self._changed.notify_all()
        if error is None:
            self._watch.unloaded(kept.name)
        else:
            self._watch.failed(kept.name, error)


def _typed(error: Exception, name: str) -> PixelisError:
    if isinstance(error, PixelisError):
        return error
    return ServingError(f"The checkpoint `{name}` failed to load or unload ({type(error).__name__}: {error}).")


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
