"""Everybody who is being answered: who waits, who holds a row, and how they leave."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from functools import partial

from pixelis.errors import InvalidRequest, PixelisError, ServingError
from pixelis.schema import PolicyEvent
from python_backends.policy.graph import DecoderGraph
from python_backends.policy.metrics import PolicyMetrics
from python_backends.policy.prefix_cache import PrefixCache
from python_backends.policy.request import Sequence
from python_backends.policy.row_table import RowTable
from python_backends.policy.waiting import Waiting
from python_backends.policy.written import Finish

log = logging.getLogger(__name__)


class Roll:
    """For the decoding thread.

    Args:
        graph: whose cache the rows are.
        metrics: counted into.
        prefixes: what was read before.

    Attributes:
        rows: who holds which row.
        waiting: who waits for one.
        known: all of them, by request id.
        next_deadline: the earliest one, in seconds since the epoch.
    """

    def __init__(self, graph: DecoderGraph, metrics: PolicyMetrics, prefixes: PrefixCache) -> None:
        self._graph = graph
        self.metrics = metrics
        self.prefixes = prefixes
        self.rows = RowTable(graph)
        self.waiting = Waiting()
        self.known: dict[str, Sequence] = {}
        self.next_deadline = math.inf

    def enqueue(self, sequence: Sequence) -> None:
        """A new request; one whose id is in use is told so."""
        name = sequence.sampling.request_id
        if name in self.known:
            error = InvalidRequest(f"Request id {name!r} is already being answered.", mend="Use an id of its own.")
            self.deliver(sequence, error)
            return
        self.known[name] = sequence
        self.waiting.put(sequence)
        self.next_deadline = min(self.next_deadline, sequence.deadline)
        self.count()

    def expire(self) -> None:
        """End those whose time has run out."""
        now = time.time()
        self.end([s for s in self.everybody() if s.deadline <= now], "deadline")
        self.next_deadline = min((s.deadline for s in self.everybody()), default=math.inf)

    def everybody(self) -> list[Sequence]:
        """With a row and without."""
        return list(self.known.values())

    def end(self, sequences: list[Sequence], finish: Finish) -> None:
        """End sequences, with a row or waiting, before they end themselves."""
        self.drop(sequences, finish)
        for sequence in sequences:
            self.deliver(sequence, sequence.closing(finish))

    def fail(self, sequences: list[Sequence], error: PixelisError) -> None:
        """End sequences with an error."""
        self.drop(sequences, "error")
        for sequence in sequences:
            self.deliver(sequence, error)

    def drop(self, sequences: Iterable[Sequence], why: Finish | str) -> None:
        """Take `sequences` out of the queue and out of their rows, and count them."""
        gone = {id(sequence): sequence for sequence in sequences}
        if not gone:
            return
        self.rows.drop(gone.keys())
        self.waiting.drop(gone.keys())
        now = time.monotonic()
        for sequence in gone.values():
            del self.known[sequence.sampling.request_id]
            self.metrics.finished[why] += 1
            self.metrics.turns.append(sequence.turn(now))
        self.count()

    def preempt(self, sequence: Sequence) -> None:
        """Its cache goes to the known prefixes, from where it comes back if it is still there."""
        self.remember(sequence, sequence.read if sequence in self.rows.reading else sequence.known)
        self.rows.drop({id(sequence)})
        sequence.read = 0
        self.waiting.put_back(sequence)
        self.metrics.preemptions += 1

    def remember(self, sequence: Sequence, tokens: int) -> None:
        """Keep the cache of the first `tokens` of a sequence that holds a row."""
        row = self.rows.holders().index(sequence)
        self.prefixes.keep(sequence.known_content()[:tokens], partial(self._graph.read, row))

    def deliver(self, sequence: Sequence, event: PolicyEvent | PixelisError) -> bool:
        """Hand an event to its caller; false when the caller cannot take it any more."""
        try:
            sequence.sink(event)
        except Exception:
            log.exception("policy: request %s does not take its events", sequence.sampling.request_id)
            return False
        return True

    def count(self) -> None:
        """Bring the gauges up to date."""
        metrics, rows, prefixes = self.metrics, self.rows, self.prefixes
        metrics.active = len(rows.holders())
        metrics.waiting = len(self.waiting)
        metrics.cached_tokens = int(rows.lengths[: len(rows.active)].sum())
        metrics.prefix_bytes = prefixes.held
        metrics.prefix_lookups, metrics.prefix_tokens = prefixes.counts.lookups, prefixes.counts.tokens
        metrics.prefix_found, metrics.prefix_evicted = prefixes.counts.found, prefixes.counts.evicted


def typed(error: Exception, what: str) -> PixelisError:
    """`error` as one of ours; what others would show stays in the log."""
    if isinstance(error, PixelisError):
        return error
    return ServingError(f"The policy failed in {what} ({type(error).__name__}).", mend="Try again; the log has more.")
