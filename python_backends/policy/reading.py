"""Prompts on their way into the cache: who gets a row, what of it is known already, and the rest in chunks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from collections.abc import Sequence as Seq

import numpy as np

from python_backends.policy.batching import group_with
from python_backends.policy.chunks import Chunk
from python_backends.policy.graph import DecoderGraph, Floats, Piece
from python_backends.policy.pacing import SMALLEST_CHUNK, Pacing
from python_backends.policy.request import Sequence
from python_backends.policy.roll import Roll, typed

log = logging.getLogger(__name__)


class PromptReader:
    """For the decoding thread.

    Args:
        roll: who waits and who holds a row.
        graph: reads.
        pacing: how much at a time.
        accept: takes the first row and the logits of prompts that are read to their end.
    """

    def __init__(self, roll: Roll, graph: DecoderGraph, pacing: Pacing, accept: Callable[[int, Floats], None]) -> None:
        self._roll = roll
        self._graph = graph
        self._pacing = pacing
        self._accept = accept
        self._held: list[Chunk] = []

    def make_room(self) -> None:
        """Urgent requests wait: a prompt that is not urgent stands back, and so does the last one who got a row.

        One row stays with the others, where there is more than one: they have their share of the time.
        """
        rows = self._roll.rows
        for sequence in [sequence for sequence in rows.reading if not sequence.urgent]:
            self._roll.preempt(sequence)
        ordinary = [sequence for sequence in rows.active if not sequence.urgent]
        if not rows.free and not rows.reading and len(ordinary) > (self._graph.slots > 1):
            self._roll.preempt(max(ordinary, key=lambda sequence: sequence.arrived))

    def read(self) -> None:
        """Read prompts for about as long as a decode step takes; beside urgent requests, as one of theirs takes.

        Where the executor can, this only says what is to be read beside the next step (see `held`).
        """
        rows, held = self._roll.rows, self._held
        budget = self._pacing.chunk(rows.urgent if self._pressed() else len(rows.active))
        while budget > 0:
            if held and not held[-1].last:
                return
            used = self._go_on(budget) if len(rows.reading) > len(held) else self._begin(budget)
            budget -= used
            if not used or (held and budget < SMALLEST_CHUNK):
                return

    def held(self) -> list[Chunk]:
        """What is to be read in the pass of the next step; `finish` is to be told of it."""
        chunks, self._held = self._held, []
        return chunks

    def finish(self, chunks: Seq[Chunk], logits: Floats | None) -> None:
        """Chunks were read beside a step, with these logits at their ends `[len(chunks), vocabulary]`, or not yet."""
        if not chunks or chunks[0].sequence not in self._roll.rows.reading:  # their pass failed, which ended them
            return
        if logits is None:
            logits = self._read_held(chunks)
        if logits is None:
            return
        for place, chunk in enumerate(chunks):
            if chunk.last:
                self._joined([chunk.sequence], logits[place : place + 1])

    def _read_held(self, chunks: Seq[Chunk]) -> Floats | None:
        """Read chunks in a pass of their own; none when it failed."""
        none = np.zeros(0, np.int64)
        pieces = [chunk.piece for chunk in chunks]
        places = sum(len(piece.embeds) for piece in pieces)
        group = [chunk.sequence for chunk in chunks]
        logits = self._timed_read(group, lambda row: self._graph.mixed(none, none, none, row, pieces), places)
        if logits is not None:
            for chunk in chunks:
                chunk.sequence.read = chunk.piece.stop
        return logits

    def _begin(self, budget: int) -> int:
        """Give the next request a row, with what is known of its prompt; tokens read, 0 if nobody can have one."""
        sequence = self._next(budget)
        if sequence is None:
            return 0
        self._roll.waiting.remove(sequence)
        self._admit(sequence)
        budget = self._part(sequence, budget)
        group = [sequence] if self._graph.mixes else self._group(sequence, budget)
        if len(group) > 1:
            return self._read_group(group)
        rows = self._roll.rows
        row = len(rows.holders())
        # The last token of a new prompt is read in any case: its logits are the first token's. So is one of a prompt
        # behind others, since rows decode in the order in which their prompts are read to the end.
        whole = bool(sequence.tokens) and not self._held
        wanted = sequence.known_content()[: sequence.known if whole else sequence.known - 1]
        for cells in self._roll.prefixes.find(wanted):
            self._graph.write(row, sequence.read, cells)
            sequence.read += cells.shape[2]
        rows.reading.append(sequence)
        if sequence.read == sequence.known:  # it was preempted, and all of it is still there
            rows.join([sequence])
            return 1
        return self._read_chunk(sequence, budget)

    def _next(self, budget: int) -> Sequence | None:
        """Who gets a row now: the oldest urgent request, or an ordinary one where there is none or it is its turn."""
        waiting, rows = self._roll.waiting, self._roll.rows
        if not rows.free:
            return None
        if waiting.ordinary and len(rows.holders()) < self._pacing.rows and self._ready(waiting.ordinary[0], budget):
            return waiting.ordinary[0]
        if not waiting.urgent or self._told(waiting.urgent[0]):
            return None
        kept = self._graph.slots > 1 and waiting.ordinary and all(other.urgent for other in rows.holders())
        return waiting.urgent[0] if rows.free > bool(kept) else None

    def _ready(self, sequence: Sequence, budget: int) -> bool:
        return not self._told(sequence) and self._granted(sequence, budget)

    def _told(self, sequence: Sequence) -> bool:
        """Whether what is read in the next pass will be known of `sequence`, which better waits for it then."""
        prefixes = self._roll.prefixes
        if not self._held or not prefixes.budget:
            return False
        known = prefixes.reach(sequence.content)
        return any(chunk.tells(sequence, known) for chunk in self._held)

    def _granted(self, sequence: Sequence, budget: int) -> bool:
        """Whether an ordinary prompt may be read now: always, but beside urgent requests it is charged."""
        if not self._pressed():
            return True
        return self._pacing.spend(
            self._pacing.read_s(min(self._part(sequence, budget), sequence.known - sequence.read))
        )

    def _part(self, sequence: Sequence, budget: int) -> int:
        """What of the budget a sequence may have: an urgent one has not to wait for more than a step's worth."""
        if sequence.urgent or not self._pressed():
            return budget
        return min(budget, self._pacing.chunk(len(self._roll.rows.active)))

    def _pressed(self) -> bool:
        """Whether an urgent request waits or holds a row."""
        return bool(self._roll.waiting.urgent) or self._roll.rows.pressed

    def _admit(self, sequence: Sequence) -> None:
        self._roll.metrics.waiting = len(self._roll.waiting)
        if sequence.queue_s is None:
            sequence.queue_s = time.monotonic() - sequence.arrived
            self._roll.metrics.waited(sequence.queue_s)

    def _group(self, first: Sequence, budget: int) -> list[Sequence]:
        """`first`, and those who wait behind it whose whole prompts are worth reading together with it."""
        if first.tokens or self._roll.prefixes.knows(first.content) or first.length > budget:
            return [first]
        if not first.urgent and self._pressed():  # one is what it was charged for
            return [first]
        fitting = [
            other
            for other in self._roll.waiting
            if other.urgent == first.urgent and not other.tokens and not self._roll.prefixes.knows(other.content)
        ]
        group = group_with(first, fitting[: self._roll.rows.free - 1], max_tokens=budget)
        for other in group[1:]:
            self._roll.waiting.remove(other)
            self._admit(other)
        return group

    def _read_group(self, group: list[Sequence]) -> int:
        """Read whole prompts together; tokens read."""
        real = sum(s.length for s in group)
        places = len(group) * max(s.length for s in group)
        prompts = [s.embeds for s in group], [s.positions for s in group]
        logits = self._timed_read(group, lambda row: self._graph.prefill(row, *prompts), places, places - real)
        if logits is not None:
            self._joined(group, logits)
        return places

    def _go_on(self, budget: int) -> int:
        """Read a chunk of the prompt that is being read; tokens read, 0 if it has to wait."""
        sequence = self._roll.rows.reading[-1]
        if not sequence.urgent and not self._granted(sequence, budget):
            return 0
        return self._read_chunk(sequence, self._part(sequence, budget))

    def _read_chunk(self, sequence: Sequence, budget: int) -> int:
        start, stop = sequence.read, min(sequence.read + budget, sequence.known)
        if sequence.known - stop < SMALLEST_CHUNK and not self._roll.rows.active:
            stop = sequence.known  # a pass of its own for so few costs nearly as much, and nobody waits for a token
        embeds, places = sequence.embedded(start, stop, self._graph.embeddings), sequence.places(start, stop)
        chunk = Chunk(sequence, Piece(start, embeds, places))
        if self._graph.mixes:
            self._held.append(chunk)
        else:
            self._read_alone(chunk)
        return stop - start

    def _read_alone(self, chunk: Chunk) -> None:
        sequence, piece = chunk.sequence, chunk.piece
        given = piece.past, piece.embeds, piece.positions
        logits = self._timed_read([sequence], lambda row: self._graph.extend(row, *given), len(piece.embeds))
        if logits is not None:
            sequence.read = piece.stop
            if chunk.last:
                self._joined([sequence], logits)

    def _timed_read(
        self, group: list[Sequence], work: Callable[[int], Floats], places: int, padding: int = 0
    ) -> Floats | None:
        """The logits of a prefill into the first free rows; none when it failed, which ends the group."""
        begun = time.perf_counter()
        try:
            logits = work(len(self._roll.rows.active))
        except Exception as error:
            log.exception("policy: prefill of %d failed", len(group))
            self._roll.fail(group, typed(error, "prefill"))
            return None
        seconds = time.perf_counter() - begun
        self._pacing.read(places, seconds)
        if group[0].urgent:
            self._pacing.earn(seconds)
        self._roll.metrics.prefills += 1
        self._roll.metrics.prefill_tokens += places - padding
        self._roll.metrics.padded_tokens += padding
        self._roll.metrics.prefill_s += seconds
        return logits

    def _joined(self, group: list[Sequence], logits: Floats) -> None:
        """Prompts are read: their sequences decode, and what was read is known from now on."""
        first = len(self._roll.rows.active)
        self._roll.rows.join(group)
        for sequence in group:
            self._roll.remember(sequence, sequence.known)
        if not group[0].tokens:  # one that was preempted has its newest token already
            self._accept(first, logits)
