"""The thread that extends, rebuilds and estimates, as long as there is something to do."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import PixelisError
from pixelis.index_config import IndexConfig
from python_backends.experience.aside import Aside
from python_backends.experience.aside.learn import LEARN_FROM, build_aside
from python_backends.experience.indexes import FaissIndex, open_index
from python_backends.experience.live.recall import PAUSE_S, estimate
from python_backends.experience.live.segments import Segments
from python_backends.experience.live.state import RECALL_K, State

log = logging.getLogger(__name__)

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Tuner = Callable[[FaissIndex, Vectors, Aside, Callable[[], None]], "IndexConfig | None"]
"""(the base, the last queries, what runs processes, to be called now and then) -> another configuration, or none: it
stays."""

NICE = 5
"""Of the thread. Not 19: it holds the lock and the interpreter for moments, and must get through them."""
SLICE = 256
"""Vectors that are added in one go; between two, the tail is looked after, and the work can be given up."""
HELD_S = 0.0003
"""About so long the lock is held to move some of the tail."""
ROOM = 0.375
"""Of a base's vectors, so many more can be added to it; see `state.SPARE`."""
APART_FROM = 5_000
"""Vectors from which on an index is built in a process of its own; to start one takes as long as to build of fewer."""


class Stopped(Exception):
    """The work was given up, because nobody waits for it any more."""


class Worker:
    """At most one thread at a time.

    Args:
        state: what it works on.
        tuner: chooses another configuration whenever the index has grown.
    """

    def __init__(self, state: State, tuner: Tuner | None = None) -> None:
        self._state, self._tuner = state, tuner
        self._thread: threading.Thread | None = None
        self._aside = Aside()

    @property
    def died(self) -> int:
        """Processes that built or tuned an index and ended too soon, so far; each was followed by another."""
        return self._aside.died

    @property
    def tunes(self) -> bool:
        """Whether it has a tuner."""
        return self._tuner is not None

    def start_if_due(self) -> None:
        """Start the thread where there is something to do and it does not run; the lock is held."""
        state = self._state
        due = state.to_extend() or state.to_rebuild() or state.to_estimate()
        if due and self._thread is None and not state.closed:
            self._thread = threading.Thread(target=self._run, name="index-merge", daemon=True)
            self._thread.start()

    def settle(self, timeout_s: float | None = None) -> bool:
        """Wait until the thread has ended; whether it has."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return self._thread is None

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)  # of this thread alone, on Linux
        state = self._state
        while True:
            with state.lock:
                jobs = (state.to_extend(), state.to_rebuild(), state.to_estimate())
                if state.closed or not any(jobs):
                    self._thread = None
                    return
            try:
                if jobs[0]:
                    self._extend()
                if jobs[1]:
                    self._rebuild()
                if any(jobs[1:]):
                    estimate(state, RECALL_K)
            except Stopped:
                continue
            except (PixelisError, RuntimeError, MemoryError, OSError) as error:
                log.exception("the index was not built again, it goes on as it is")
                with state.lock:
                    state.failed(f"{type(error).__name__}: {error}")

    def _between(self) -> None:
        """What is done between two slices of long work: the tail must not grow without end.

        Raises:
            Stopped: nobody waits any more.
        """
        if self._state.closed:
            raise Stopped
        with self._state.lock:
            due = self._state.to_extend()
        if due:
            self._extend()

    def _extend(self) -> None:
        """Move the tail into the base, so many at a time that a search waits for moments only."""
        state, step = self._state, 1
        with state.lock:
            segments = state.segments
            if segments.draining is None:
                segments.tail.freeze()
                segments.draining, segments.tail = segments.tail, state.flat()
        while not state.closed:
            with state.lock:
                base, draining = segments.base, segments.draining
                if base is None or draining is None or not len(draining):
                    segments.draining = None
                    state.succeeded()
                    return
                start = time.perf_counter()
                ids, vectors = next(draining.slices(step))
                base.add(ids, vectors)
                draining.remove(ids)
                held = time.perf_counter() - start
            step = min(2 * step, SLICE) if held < HELD_S / 2 else max(step // 2, 1) if held > HELD_S else step
            pause()

    def _rebuild(self) -> None:
        """Build another base beside the present one and put it in its place; the old one takes the tail meanwhile."""
        state = self._state
        with state.lock:
            base, tuning = self._promoted(), state.to_tune()
            state.forced = state.untuned = False
        if tuning and self._tuner is not None:
            self._retune(base, self._tuner)
        with state.lock:
            config = IndexConfig() if state.few else state.config
        made = open_index(config, state.width, state.threads)
        made.compacts = False
        if len(base) >= APART_FROM and not config.exact:
            build_aside(made, base, self._room, self._aside, self._between)
        elif made.needed:
            made.train(np.concatenate([v for _, v in base.slices(SLICE, max(LEARN_FROM, made.needed))]))
        self._between()
        while _add(made, base.slices(SLICE, without=made), self._between):  # until nothing has come meanwhile
            pass
        self._replace(base, made)

    def _room(self, count: int) -> int:
        """How many more a base of `count` vectors must have room for, with what waits now."""
        with self._state.lock:
            waiting = self._state.segments.waiting
        return int(ROOM * count) + 2 * self._state.live.tail + waiting

    def _promoted(self) -> FaissIndex:
        """The base; where there is none, the tail becomes one, flat. The lock is held."""
        segments = self._state.segments
        if segments.base is not None:
            return segments.base
        base = segments.tail
        base.freeze()
        self._state.segments = Segments(self._state.flat(), base)
        return base

    def _replace(self, base: FaissIndex, made: FaissIndex) -> None:
        """`made` in the place of `base`; what has been removed since is removed from it too."""
        state, exact = self._state, made.config.exact
        if not exact:
            made.freeze(self._room(len(made)))
        if len(made):
            made.search(next(made.slices(1))[1], 1)  # the first search makes its tables: nobody is to wait for that
        with state.lock:
            made.remove(made.numbers(~base.holds(made.numbers())))
            segments = state.segments
            if exact:
                for flat in filter(None, (segments.draining, segments.tail)):
                    _add(made, flat.slices(SLICE))
                made.compacts = True
            state.segments = Segments(made) if exact else Segments(segments.tail, made, segments.draining)
            state.learned_from = len(made)
            state.tuned_at = state.tuned_at or len(made)
            state.succeeded()

    def _retune(self, base: FaissIndex, tuner: Tuner) -> None:
        """Let the tuner choose; where it cannot, the configuration stays."""
        state = self._state
        with state.lock:
            queries = state.queries.all()
        config = tuner(base, queries, self._aside, self._between)
        with state.lock:
            state.tuned_at = len(state.segments)
            if config is not None:
                state.use(config)


def pause() -> None:
    """Let those who wait for the lock have it."""
    time.sleep(PAUSE_S)


def _add(made: FaissIndex, slices: Iterable[tuple[Ids, Vectors]], between: Callable[[], None] = lambda: None) -> int:
    """Add all slices; how many vectors they held."""
    added = 0
    for ids, vectors in slices:
        made.add(ids, vectors)
        added += len(ids)
        between()
    return added
