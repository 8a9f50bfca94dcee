"""The thread that extends, rebuilds and estimates, as long as there is something to do."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import PixelisError
from pixelis.index_config import IndexConfig
from python_backends.experience.indexes import FaissIndex, open_index
from python_backends.experience.live.recall import estimate
from python_backends.experience.live.segments import Segments
from python_backends.experience.live.state import RECALL_K, State

log = logging.getLogger(__name__)

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Tuner = Callable[[FaissIndex, Vectors, Callable[[], None]], "IndexConfig | None"]
"""(the frozen base, the last queries, to be called now and then) -> another configuration, or none: it stays."""

NICE = 5
"""Of the thread. Not 19: it holds the lock and the interpreter for moments, and must get through them."""
SLICE = 256
"""Vectors that are added in one go; between two, the tail is looked after, and the work can be given up."""
LEARN_FROM = 32_768
"""Vectors, evenly spaced, that an index is trained on."""


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
            except (PixelisError, RuntimeError, MemoryError) as error:
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
        """Add the tail to a copy of the base."""
        state = self._state
        with state.lock:
            base, frozen = state.segments.base, state.segments.tail
            if base is None or not len(frozen):
                return
            frozen.freeze()
            state.segments, state.gone = Segments(state.flat(), frozen, base), []
        try:
            made = base.clone()
            made.compacts = False
            _add(made, frozen.slices(SLICE))
        except BaseException:
            self._thaw(frozen)
            raise
        with state.lock:
            if state.gone:
                made.remove(np.concatenate(state.gone))
            made.freeze()
            state.segments, state.gone = Segments(state.segments.tail, None, made), []
            state.succeeded()

    def _thaw(self, frozen: FaissIndex) -> None:
        """What could not be added is in the tail again."""
        state = self._state
        with state.lock:
            tail = state.flat()
            for part in (frozen, state.segments.tail):
                _add(tail, part.slices(SLICE))
            state.segments, state.gone = Segments(tail, None, state.segments.base), []

    def _rebuild(self) -> None:
        """Build another base beside the present one and put it in its place; the old one takes the tail meanwhile."""
        state = self._state
        with state.lock:
            source, tuning = self._promoted(), state.to_tune()
            state.forced = state.untuned = False
        if tuning and self._tuner is not None:
            self._retune(source, self._tuner)
        with state.lock:
            config = IndexConfig() if state.few else state.config
        made = open_index(config, state.width, state.threads)
        made.compacts = False
        if made.needed:
            made.train(np.concatenate([v for _, v in source.slices(SLICE, max(LEARN_FROM, made.needed))]))
        self._between()
        _add(made, source.slices(SLICE), self._between)
        while (base := state.segments.base) is not source and base is not None:  # what was extended meanwhile
            _add(made, base.slices(SLICE, without=made), self._between)
            source = base
        self._replace(made)

    def _promoted(self) -> FaissIndex:
        """The base; where there is none, the tail becomes one, flat. The lock is held."""
        segments = self._state.segments
        if segments.base is None:
            segments.tail.freeze()
            self._state.segments = segments = Segments(self._state.flat(), None, segments.tail)
        assert segments.base is not None
        return segments.base

    def _replace(self, made: FaissIndex) -> None:
        """`made` in the place of the base; what has been removed since is removed from it too."""
        state = self._state
        with state.lock:
            base = state.segments.base
            if base is not None:
                made.remove(made.numbers(~base.holds(made.numbers())))
            state.learned_from = len(made)
            if made.config.exact:
                _add(made, state.segments.tail.slices(max(len(state.segments.tail), 1)))
                made.compacts = True
                state.segments = Segments(made)
            else:
                made.freeze()
                state.segments = Segments(state.segments.tail, None, made)
            state.succeeded()

    def _retune(self, source: FaissIndex, tuner: Tuner) -> None:
        """Let the tuner choose; where it cannot, the configuration stays."""
        state = self._state
        with state.lock:
            queries = state.queries.all()
        config = tuner(source, queries, self._between)
        if config is not None:
            with state.lock:
                state.use(config)


def _add(made: FaissIndex, slices: Iterable[tuple[Ids, Vectors]], between: Callable[[], None] = lambda: None) -> None:
    for ids, vectors in slices:
        made.add(ids, vectors)
        between()
