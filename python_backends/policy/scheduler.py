"""Iteration-level batching: sequences join and leave between any two decode steps, prompts are read in chunks.

Orca (Yu et al., OSDI 2022) and Sarathi-Serve (arXiv 2403.02310). One thread owns the graph and its cache:

    inbox -> waiting (two classes) -> a row: what is known of its prompt is copied, a chunk of the rest is read
          -> decode all rows (urgent ones alone, while there are any and the others have had their share) -> events

Everything that the thread touches belongs to it alone; other threads only put messages into the inbox.
"""

from __future__ import annotations

import logging
import math
import queue
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, PixelisError, ServingError, Unavailable
from pixelis.schema import PolicyEvent
from python_backends.policy.batching import group_with
from python_backends.policy.graph import DecoderGraph, Floats
from python_backends.policy.metrics import PolicyMetrics
from python_backends.policy.pacing import Pacing
from python_backends.policy.prefix_cache import PrefixCache
from python_backends.policy.request import Finish, Sequence
from python_backends.policy.row_table import RowTable
from python_backends.policy.sampling import greedy, guided, sample
from python_backends.policy.speculation import DRAFT, Speculation, propose
from python_backends.policy.waiting import Waiting

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
        prefixes: what was read before; used by this thread alone.
        pacing: how much is read between two steps.
        speculation: whether drafts are tried.
    """

    def __init__(
        self,
        graph: DecoderGraph,
        metrics: PolicyMetrics,
        prefixes: PrefixCache,
        pacing: Pacing,
        speculation: Speculation,
    ) -> None:
        self.inbox: queue.SimpleQueue[Sequence | Cancel | Close] = queue.SimpleQueue()
        self._graph = graph
        self._metrics = metrics
        self._prefixes = prefixes
        self._pacing = pacing
        self._speculation = speculation
        self._rows = RowTable(graph)
        self._waiting = Waiting()
        self._known: dict[str, Sequence] = {}
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
        if self._waiting.urgent:
            self._make_room()
        self._read()
        if self._rows.active:
            self._step()
        self._count()

    def _receive(self) -> bool:
        """Take what is in the inbox; wait for a message when there is nothing to do. False: close."""
        while not self._known or not self.inbox.empty():
            message = self.inbox.get()
            if isinstance(message, Close):
                return False
            self._guard(partial(self._handle, message), "queueing")
        return True

    def _handle(self, message: Sequence | Cancel) -> None:
        if isinstance(message, Cancel):
            known = self._known.get(message.request_id)
            self._end([] if known is None else [known], "cancelled")
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
        if name in self._known:
            error = InvalidRequest(f"Request id {name!r} is already being answered.", mend="Use an id of its own.")
            self._deliver(sequence, error)
            return
        self._known[name] = sequence
        self._waiting.put(sequence)
        self._next_deadline = min(self._next_deadline, sequence.deadline)
        self._count()

    def _expire(self) -> None:
        now = time.time()
        self._end([s for s in self._all() if s.deadline <= now], "deadline")
        self._next_deadline = min((s.deadline for s in self._all()), default=math.inf)

    def _all(self) -> list[Sequence]:
        return list(self._known.values())

    def _end(self, sequences: list[Sequence], finish: Finish) -> None:
        """End sequences, with a row or waiting, before they end themselves."""
        self._drop(sequences, finish)
        for sequence in sequences:
            self._deliver(sequence, sequence.closing(finish))

    def _fail(self, sequences: list[Sequence], error: PixelisError) -> None:
        self._drop(sequences, "error")
        for sequence in sequences:
            self._deliver(sequence, error)

    def _drop(self, sequences: Iterable[Sequence], why: Finish | str) -> None:
        """Take `sequences` out of the queue and out of their rows, and count them."""
        gone = {id(sequence): sequence for sequence in sequences}
        if not gone:
            return
        self._rows.drop(gone.keys())
        self._waiting.drop(gone.keys())
        now = time.monotonic()
        for sequence in gone.values():
            del self._known[sequence.sampling.request_id]
            self._metrics.finished[why] += 1
            self._metrics.turns.append(sequence.turn(now))
        self._count()

    def _make_room(self) -> None:
        """Urgent requests wait: a prompt that is not urgent stands back, and so does the last one who got a row.

        One row stays with the others, where there is more than one: they have their share of the time.
        """
        rows = self._rows
        if rows.reading is not None and not rows.reading.urgent:
            self._preempt(rows.reading)
        ordinary = [sequence for sequence in rows.active if not sequence.urgent]
        if not rows.free and rows.reading is None and len(ordinary) > (self._graph.slots > 1):
            self._preempt(max(ordinary, key=lambda sequence: sequence.arrived))

    def _preempt(self, sequence: Sequence) -> None:
        """Its cache goes to the known prefixes, from where it comes back if it is still there."""
        self._remember(sequence, sequence.read if sequence is self._rows.reading else sequence.known)
        self._rows.drop({id(sequence)})
        sequence.read = 0
        self._waiting.put_back(sequence)
        self._metrics.preemptions += 1

    def _remember(self, sequence: Sequence, tokens: int) -> None:
        """Keep the cache of the first `tokens` of a sequence that holds a row."""
        row = self._rows.holders().index(sequence)
        self._prefixes.keep(sequence.known_content()[:tokens], partial(self._graph.read, row))

    # -- prompts ------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read prompts for about as long as a decode step takes."""
        budget = self._pacing.chunk(len(self._rows.active))
        while budget > 0:
            used = self._begin(budget) if self._rows.reading is None else self._go_on(budget)
            if not used:
                return
            budget -= used

    def _begin(self, budget: int) -> int:
        """Give the next request a row, with what is known of its prompt; tokens read, 0 if nobody can have one."""
        sequence = self._next(budget)
        if sequence is None:
            return 0
        self._waiting.remove(sequence)
        self._admit(sequence)
        group = self._group(sequence, budget)
        if len(group) > 1:
            return self._read_group(group)
        rows = self._rows
        row = len(rows.active)
        # The last token of a new prompt is read in any case: its logits are the first token's.
        wanted = sequence.known_content()[: sequence.known if sequence.tokens else sequence.known - 1]
        for cells in self._prefixes.find(wanted):
            self._graph.write(row, sequence.read, cells)
            sequence.read += cells.shape[2]
        rows.reading = sequence
        if sequence.read == sequence.known:
            rows.join([sequence])
            return 1
        return self._read_chunk(sequence, budget)

    def _next(self, budget: int) -> Sequence | None:
        """Who gets a row now: the oldest urgent request, or an ordinary one where there is none or it is its turn."""
        waiting, rows = self._waiting, self._rows
        if not rows.free:
            return None
        if waiting.ordinary and len(rows.active) < self._pacing.rows and self._granted(waiting.ordinary[0], budget):
            return waiting.ordinary[0]
        if not waiting.urgent:
            return None
        kept = self._graph.slots > 1 and waiting.ordinary and all(other.urgent for other in rows.active)
        return waiting.urgent[0] if rows.free > bool(kept) else None

    def _granted(self, sequence: Sequence, budget: int) -> bool:
        """Whether an ordinary prompt may be read now: always, but beside urgent requests it is charged."""
        if not self._waiting.urgent and not any(other.urgent for other in self._rows.active):
            return True
        return self._pacing.spend(self._pacing.read_s(min(budget, sequence.known - sequence.read)))

    def _admit(self, sequence: Sequence) -> None:
        self._metrics.waiting = len(self._waiting)
        if sequence.queue_s is None:
            sequence.queue_s = time.monotonic() - sequence.arrived
            self._metrics.waited(sequence.queue_s)

    def _group(self, first: Sequence, budget: int) -> list[Sequence]:
        """`first`, and those who wait behind it whose whole prompts are worth reading together with it."""
        if first.tokens or self._prefixes.knows(first.content) or first.length > budget:
            return [first]
        fitting = [
            other
            for other in self._waiting
            if other.urgent == first.urgent and not other.tokens and not self._prefixes.knows(other.content)
        ]
        group = group_with(first, fitting[: self._rows.free - 1], max_tokens=budget)
        for other in group[1:]:
            self._waiting.remove(other)
            self._admit(other)
        return group

    def _read_group(self, group: list[Sequence]) -> int:
        """Read whole prompts together; tokens read."""
        places = len(group) * max(s.length for s in group)
        prompts = [s.embeds for s in group], [s.positions for s in group]
        logits = self._timed_read(group, lambda row: self._graph.prefill(row, *prompts), places)
        real = sum(s.length for s in group)
        self._metrics.padded_tokens += places - real
        if logits is not None:
            self._joined(group, logits)
        return places

    def _go_on(self, budget: int) -> int:
        """Read a chunk of the prompt that is being read; tokens read, 0 if it has to wait."""
        sequence = self._rows.reading
        assert sequence is not None
        if not sequence.urgent and not self._granted(sequence, budget):
            return 0
        return self._read_chunk(sequence, budget)

    def _read_chunk(self, sequence: Sequence, budget: int) -> int:
        start, stop = sequence.read, min(sequence.read + budget, sequence.known)
        embeds, places = sequence.embedded(start, stop, self._graph.embeddings), sequence.places(start, stop)
        logits = self._timed_read([sequence], lambda row: self._graph.extend(row, start, embeds, places), stop - start)
        if logits is not None:
            sequence.read = stop
            if stop == sequence.known:
                self._joined([sequence], logits)
        return stop - start

    def _timed_read(self, group: list[Sequence], work: Callable[[int], Floats], tokens: int) -> Floats | None:
        """The logits of a prefill into the first free rows; none when it failed, which ends the group."""
        begun = time.perf_counter()
        try:
            logits = work(len(self._rows.active))
        except Exception as error:
            log.exception("policy: prefill of %d failed", len(group))
            self._fail(group, _typed(error, "prefill"))
            return None
        seconds = time.perf_counter() - begun
        self._pacing.read(tokens, seconds)
        if group[0].urgent:
            self._pacing.earn(seconds)
        self._metrics.prefills += 1
        self._metrics.prefill_tokens += tokens
        self._metrics.prefill_s += seconds
        return logits

    def _joined(self, group: list[Sequence], logits: Floats) -> None:
        """Prompts are read: their sequences decode, and what was read is known from now on."""
        first = len(self._rows.active)
        self._rows.join(group)
        for sequence in group:
            self._remember(sequence, sequence.known)
        if not group[0].tokens:  # one that was preempted has its newest token already
            self._accept(first, logits)

    # -- decoding -----------------------------------------------------------------------------------------------

    def _step(self) -> None:
        begun = time.perf_counter()
        count = self._decoding()
        if count == 1 and len(self._known) == 1 and self._speculate(begun):
            return
        rows = self._rows
        try:
            logits = self._graph.decode(rows.tokens[:count], rows.positions[:count], rows.lengths[:count])
        except Exception as error:
            log.exception("policy: a decode step of %d failed", count)
            self._fail(rows.active[:count], _typed(error, "decoding"))
            return
        seconds = time.perf_counter() - begun
        if count == 1:
            self._speculation.plain(seconds)
        if rows.active[count - 1].urgent:
            self._pacing.earn(seconds)
        self._pacing.stepped(count, seconds)
        self._stepped(count, seconds)
        self._accept(0, logits)
        self._metrics.step_s += time.perf_counter() - begun

    def _decoding(self) -> int:
        """How many rows decode now: all, or the urgent ones alone."""
        active = self._rows.active
        if sum(sequence.urgent for sequence in active) in (0, len(active)):
            return len(active)
        urgent = self._rows.urgent_first()
        alone, together = self._pacing.step_s(urgent), self._pacing.step_s(len(active))
        if alone is None or together is None or self._pacing.spend(max(together - alone, 0.0) or alone):
            return len(active)
        return urgent

    def _speculate(self, begun: float) -> bool:
        """Check a draft of the one sequence there is; false when there is none to check."""
        rows, sequence = self._rows, self._rows.active[0]
        if not sequence.greedy or not self._speculation.wanted():
            return False
        past = int(rows.lengths[0])
        most = min(DRAFT, self._graph.max_len - past - 1, sequence.limit - len(sequence.tokens) - 1)
        draft = propose(sequence.history(), most)
        if not len(draft):
            return False
        ids = np.concatenate([rows.tokens[:1], draft])
        places = np.tile(rows.positions[0] + np.arange(len(ids)), (3, 1))
        try:
            logits = self._graph.extend(0, past, self._graph.embeddings[ids], places, logits=len(ids))
        except Exception as error:
            log.exception("policy: a draft of %d failed", len(draft))
            self._fail([sequence], _typed(error, "decoding"))
            return True
        seconds = time.perf_counter() - begun
        self._stepped(1, seconds)
        right = 0
        while True:
            self._accept(0, logits[right : right + 1])
            over = not rows.active
            if over or right == len(draft) or sequence.tokens[-1] != draft[right]:
                break
            right += 1
        self._speculation.checked(len(draft), right, seconds)
        self._metrics.step_s += time.perf_counter() - begun
        return True

    def _stepped(self, count: int, seconds: float) -> None:
        self._metrics.steps += 1
        self._metrics.batch_sizes[count] += 1
        self._metrics.graph_s += seconds

    def _accept(self, first: int, logits: Floats) -> None:
        """Take the next token of rows `first` and on, free the rows that end, and tell the callers.

        Callers come last: whoever has seen a last event finds the row free and the request counted.
        """
        table = self._rows
        tokens, logprobs = greedy(logits)
        count = len(tokens)
        rows = slice(first, first + count)
        sample(logits, [sequence.plan for sequence in table.active[rows]], tokens, logprobs)
        self._guide(table.active[rows], logits, tokens, logprobs)
        table.tokens[rows] = tokens
        table.positions[rows] += 1
        self._metrics.tokens += count
        now = time.monotonic()
        taken = zip(table.active[rows], tokens.tolist(), logprobs, strict=True)
        outgoing = [(sequence, *self._advance(sequence, token, logprob, now)) for sequence, token, logprob in taken]
        table.lengths[rows] = [sequence.known for sequence in table.active[rows]]
        for sequence, _, over in outgoing:
            if over == "stop" or over == "length":
                self._remember(sequence, sequence.known)
        for why in ("stop", "length", "error"):
            self._drop([sequence for sequence, _, over in outgoing if over == why], why)
        lost = [
            sequence
            for sequence, event, over in outgoing
            if event is not None and not self._deliver(sequence, event) and not over
        ]
        self._drop(lost, "cancelled")

    def _guide(
        self, sequences: list[Sequence], logits: Floats, tokens: NDArray[np.int64], logprobs: list[float]
    ) -> None:
        """Put what the grammar allows in the place of what it does not. A row whose grammar fails is marked."""
        begun = time.perf_counter()
        for i, sequence in enumerate(sequences):
            if sequence.guide is None or not math.isfinite(logprobs[i]):
                continue
            token, guide, plan = int(tokens[i]), sequence.guide, sequence.plan
            choose = guide.choose if plan is None else partial(guided, plan, guide)
            try:
                tokens[i], logprobs[i] = choose(logits[i], token, logprobs[i])
            except PixelisError as error:
                log.error("policy: request %s: %s", sequence.sampling.request_id, error)
                sequence.failed = error
            self._metrics.masked_tokens += int(tokens[i]) != token
        self._metrics.grammar_s += time.perf_counter() - begun

    def _advance(
        self, sequence: Sequence, token: int, logprob: float, now: float
    ) -> tuple[PolicyEvent | PixelisError | None, Finish | str | None]:
        """One more token of `sequence`: what its caller is to be told, and why it ends here, if it does."""
        if not math.isfinite(logprob) or sequence.failed is not None:
            return sequence.failed or ServingError("The policy's logits are not finite for this request."), "error"
        sequence.take(token, logprob, now)
        finish = sequence.ending(token)
        return sequence.news() if finish is None else sequence.closing(finish), finish

    def _deliver(self, sequence: Sequence, event: PolicyEvent | PixelisError) -> bool:
        """Hand an event to its caller; false when the caller cannot take it any more."""
        try:
            sequence.sink(event)
        except Exception:
            log.exception("policy: request %s does not take its events", sequence.sampling.request_id)
            return False
        return True

    def _count(self) -> None:
        metrics, rows, prefixes = self._metrics, self._rows, self._prefixes
        metrics.active = len(rows.active) + (rows.reading is not None)
        metrics.waiting = len(self._waiting)
        metrics.cached_tokens = int(rows.lengths[: len(rows.active)].sum())
        metrics.prefix_bytes = prefixes.held
        metrics.prefix_lookups, metrics.prefix_tokens = prefixes.counts.lookups, prefixes.counts.tokens
        metrics.prefix_found, metrics.prefix_evicted = prefixes.counts.found, prefixes.counts.evicted
        metrics.drafted, metrics.accepted = self._speculation.drafted, self._speculation.accepted


def _typed(error: Exception, what: str) -> PixelisError:
    if isinstance(error, PixelisError):
        return error
    return ServingError(f"The policy failed in {what} ({type(error).__name__}).", mend="Try again; the log has more.")
