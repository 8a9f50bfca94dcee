"""Iteration-level batching: sequences join and leave between any two decode steps.

Orca (Yu et al., OSDI 2022). One thread owns the graph and its cache:

    inbox -> waiting (first come, first served) -> prefill into the next free rows -> decode all rows -> events
                                                        ^ rows 0..n-1 are always the active ones: when a sequence
                                                          ends, the last row moves into its place

Everything that the thread touches belongs to it alone; other threads only put messages into the inbox.
"""

from __future__ import annotations

import logging
import math
import queue
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, PixelisError, ServingError, Unavailable
from pixelis.schema import PolicyEvent
from python_backends.policy.batching import prefill_groups
from python_backends.policy.graph import DecoderGraph, Floats
from python_backends.policy.metrics import PolicyMetrics
from python_backends.policy.request import Finish, Sequence
from python_backends.policy.sampling import greedy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cancel:
    """A message: end the sequence of this request."""

    request_id: str


@dataclass(frozen=True)
class Close:
    """A message: end everything and the thread."""


class Scheduler:
    """The decoding thread.

    Args:
        graph: the graph and its cache; used by this thread alone from here on.
        metrics: counted into.
    """

    def __init__(self, graph: DecoderGraph, metrics: PolicyMetrics) -> None:
        self.inbox: queue.SimpleQueue[Sequence | Cancel | Close] = queue.SimpleQueue()
        self._graph = graph
        self._metrics = metrics
        self._waiting: deque[Sequence] = deque()
        self._rows: list[Sequence] = []
        self._tokens = np.zeros(graph.slots, np.int64)
        self._positions = np.zeros(graph.slots, np.int64)
        self._lengths = np.zeros(graph.slots, np.int64)
        self._next_deadline = math.inf
        self.thread = Thread(target=self._loop, name="policy", daemon=True)
        self.thread.start()

    # -- the loop -----------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        while self._receive():
            self._guard(self._iterate, "scheduling")
        self._fail(self._all(), Unavailable("The policy is shutting down.", mend="Try again."))

    def _iterate(self) -> None:
        if time.time() >= self._next_deadline:
            self._expire()
        if self._waiting and len(self._rows) < self._graph.slots:
            self._admit()
        if self._rows:
            self._step()

    def _receive(self) -> bool:
        """Take what is in the inbox; wait for a message when there is nothing to do. False: close."""
        while not (self._rows or self._waiting) or not self.inbox.empty():
            message = self.inbox.get()
            if isinstance(message, Close):
                return False
            self._guard(partial(self._handle, message), "queueing")
        return True

    def _handle(self, message: Sequence | Cancel) -> None:
        if isinstance(message, Cancel):
            self._end([s for s in self._all() if s.sampling.request_id == message.request_id], "cancelled")
        else:
            self._enqueue(message)

    def _guard(self, work: Callable[[], None], what: str) -> None:
        """An error outside a graph call is a fault of this file: no sequence survives it, the thread does."""
        try:
            work()
        except Exception as error:
            log.exception("policy: %s failed", what)
            self._fail(self._all(), _typed(error, what))

    # -- arrivals and departures --------------------------------------------------------------------------------

    def _enqueue(self, sequence: Sequence) -> None:
        name = sequence.sampling.request_id
        if any(other.sampling.request_id == name for other in self._all()):
            error = InvalidRequest(f"Request id {name!r} is already being answered.", mend="Use an id of its own.")
            self._deliver(sequence, error)
            return
        self._waiting.append(sequence)
        self._next_deadline = min(self._next_deadline, sequence.deadline)
        self._count()

    def _expire(self) -> None:
        now = time.time()
        self._end([s for s in self._all() if s.deadline <= now], "deadline")
        self._next_deadline = min((s.deadline for s in self._all()), default=math.inf)

    def _all(self) -> list[Sequence]:
        return [*self._rows, *self._waiting]

    def _end(self, sequences: list[Sequence], finish: Finish) -> None:
        """End sequences, active or waiting, before they end themselves."""
        self._drop(sequences)
        for sequence in sequences:
            self._metrics.finished[finish] += 1
            self._deliver(sequence, _closing_event(sequence, finish))

    def _fail(self, sequences: list[Sequence], error: PixelisError) -> None:
        self._drop(sequences)
        for sequence in sequences:
            self._metrics.finished["error"] += 1
            self._deliver(sequence, error)

    def _drop(self, sequences: list[Sequence]) -> None:
        """Take `sequences` out of the queue and out of their rows."""
        gone = {id(sequence) for sequence in sequences}
        if not gone:
            return
        for row in range(len(self._rows) - 1, -1, -1):
            if id(self._rows[row]) in gone:
                self._free(row)
        self._waiting = deque(s for s in self._waiting if id(s) not in gone)
        self._count()

    def _free(self, row: int) -> None:
        """End a row: the last active one moves into it."""
        last = len(self._rows) - 1
        if row != last:
            self._graph.move(last, row, int(self._lengths[last]))
            self._rows[row] = self._rows[last]
            for column in (self._tokens, self._positions, self._lengths):
                column[row] = column[last]
        self._rows.pop()

    # -- work ---------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        """Give the free rows to those who wait longest, and read their prompts."""
        free = self._graph.slots - len(self._rows)
        for group in prefill_groups(islice(self._waiting, free)):
            self._prefill(group)

    def _prefill(self, group: list[Sequence]) -> None:
        first = len(self._rows)
        now = time.monotonic()
        for sequence in group:
            self._metrics.waited(now - sequence.arrived)
        try:
            logits = self._graph.prefill(first, [s.embeds for s in group], [s.positions for s in group])
        except Exception as error:
            log.exception("policy: prefill of %d failed", len(group))
            self._fail(group, _typed(error, "prefill"))
            return
        for row, sequence in enumerate(group, first):
            self._positions[row] = sequence.next_position - 1
            self._lengths[row] = sequence.length - 1
        self._drop(group)
        self._rows.extend(group)
        self._count()
        metrics = self._metrics
        real = sum(s.length for s in group)
        metrics.prefills += 1
        metrics.prefill_tokens += real
        metrics.padded_tokens += len(group) * max(s.length for s in group) - real
        self._accept(first, logits)

    def _step(self) -> None:
        start = time.perf_counter()
        count = len(self._rows)
        try:
            logits = self._graph.decode(self._tokens[:count], self._positions[:count], self._lengths[:count])
        except Exception as error:
            log.exception("policy: a decode step of %d failed", count)
            self._fail(list(self._rows), _typed(error, "decoding"))
            return
        metrics = self._metrics
        metrics.steps += 1
        metrics.batch_sizes[count] += 1
        metrics.graph_s += time.perf_counter() - start
        self._accept(0, logits)
        metrics.step_s += time.perf_counter() - start

    def _accept(self, first: int, logits: Floats) -> None:
        """Take the next token of rows `first` and on, free the rows that end, and tell the callers.

        Callers come last: whoever has seen a last event finds the row free and the request counted.
        """
        tokens, logprobs = greedy(logits)
        count = len(tokens)
        rows = slice(first, first + count)
        self._guide(self._rows[rows], logits, tokens, logprobs)
        self._tokens[rows] = tokens
        self._positions[rows] += 1
        self._lengths[rows] += 1
        self._metrics.tokens += count
        taken = zip(self._rows[rows], tokens.tolist(), logprobs, strict=True)
        outgoing = [(sequence, *self._advance(sequence, token, logprob)) for sequence, token, logprob in taken]
        self._drop([sequence for sequence, _, over in outgoing if over])
        lost = [
            sequence
            for sequence, event, over in outgoing
            if event is not None and not self._deliver(sequence, event) and not over
        ]
        self._drop(lost)
        if lost:
            self._metrics.finished["cancelled"] += len(lost)

    def _guide(
        self, sequences: list[Sequence], logits: Floats, tokens: NDArray[np.int64], logprobs: list[float]
    ) -> None:
        """Put what the grammar allows in the place of what it does not. A row whose grammar fails is marked."""
        for i, sequence in enumerate(sequences):
            if sequence.guide is None or not math.isfinite(logprobs[i]):
                continue
            token = int(tokens[i])
            try:
                tokens[i], logprobs[i] = sequence.guide.choose(logits[i], token, logprobs[i])
            except PixelisError as error:
                log.error("policy: request %s: %s", sequence.sampling.request_id, error)
                sequence.failed = error
            self._metrics.masked_tokens += int(tokens[i]) != token

    def _advance(
        self, sequence: Sequence, token: int, logprob: float
    ) -> tuple[PolicyEvent | PixelisError | None, bool]:
        """One more token of `sequence`: what its caller is to be told, and whether it ends here."""
        if not math.isfinite(logprob) or sequence.failed is not None:
            self._metrics.finished["error"] += 1
            return sequence.failed or ServingError("The policy's logits are not finite for this request."), True
        sequence.tokens.append(token)
        sequence.logprobs.append(logprob)
        finish = sequence.ending(token)
        if finish is not None:
            self._metrics.finished[finish] += 1
        if sequence.sampling.stream:
            return PolicyEvent(tokens=[token], logprobs=[logprob], finish=finish), finish is not None
        return (_closing_event(sequence, finish) if finish is not None else None), finish is not None

    def _deliver(self, sequence: Sequence, event: PolicyEvent | PixelisError) -> bool:
        """Hand an event to its caller; false when the caller cannot take it any more."""
        try:
            sequence.sink(event)
        except Exception:
            log.exception("policy: request %s does not take its events", sequence.sampling.request_id)
            return False
        return True

    def _count(self) -> None:
        self._metrics.active = len(self._rows)
        self._metrics.waiting = len(self._waiting)


def _closing_event(sequence: Sequence, finish: Finish) -> PolicyEvent:
    """The last event: all the tokens, or none where each one had its own event."""
    if sequence.sampling.stream:
        return PolicyEvent(finish=finish)
    return PolicyEvent(tokens=sequence.tokens, logprobs=sequence.logprobs, finish=finish)


def _typed(error: Exception, what: str) -> PixelisError:
    if isinstance(error, PixelisError):
        return error
    return ServingError(f"The policy failed in {what} ({type(error).__name__}).", mend="Try again; the log has more.")
