"""Decode steps: one token for every row, or several for one from a draft; and what becomes of a token."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence as Seq
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import PixelisError, ServingError
from pixelis.schema import PolicyEvent
from python_backends.policy.chunks import Chunk
from python_backends.policy.graph import DecoderGraph, Floats, Ints
from python_backends.policy.pacing import Pacing
from python_backends.policy.request import Sequence
from python_backends.policy.roll import Roll, typed
from python_backends.policy.sampling import greedy, guided, sample
from python_backends.policy.speculation import DRAFT, Speculation, propose
from python_backends.policy.written import Finish

log = logging.getLogger(__name__)


class Stepper:
    """For the decoding thread.

    Args:
        roll: who waits and who holds a row.
        graph: decodes.
        pacing: told how long a step took.
        speculation: whether drafts are tried.
    """

    def __init__(self, roll: Roll, graph: DecoderGraph, pacing: Pacing, speculation: Speculation) -> None:
        self._roll = roll
        self._graph = graph
        self._pacing = pacing
        self._speculation = speculation

    def step(self, chunks: Seq[Chunk] = ()) -> Floats | None:
        """The next token of all that decode now, or what a draft brings where one is alone.

        Args:
            chunks: are read in the same pass, where there are any.

        Returns:
            Logits at the end of each chunk `[len(chunks), vocabulary]`; none where they were not read.
        """
        begun = time.perf_counter()
        count = self._decoding()
        if not count:
            return None
        if count == 1 and len(self._roll.known) == 1 and self._speculate(begun):
            return None
        usual = self._pacing.step_s(count)
        if usual is None:
            chunks = ()  # what a step takes alone is to be known first
        rows = self._roll.rows
        state = rows.tokens[:count], rows.positions[:count], rows.lengths[:count]
        try:
            logits = self._mixed(chunks, *state) if chunks else self._graph.decode(*state)
        except Exception as error:
            log.exception("policy: a decode step of %d failed", count)
            self._roll.fail([*rows.active[:count], *(chunk.sequence for chunk in chunks)], typed(error, "decoding"))
            return None
        seconds = time.perf_counter() - begun
        reading = max(seconds - (usual or 0.0), 0.0) if chunks else 0.0
        if chunks:
            self._read(chunks, reading)
        elif count == 1:
            self._speculation.plain(seconds)
        if rows.active[count - 1].urgent:
            self._pacing.earn(seconds - reading)
        if not chunks:
            self._pacing.stepped(count, seconds)
        self._stepped(count, seconds - reading)
        self.accept(0, logits[:count])
        self._roll.metrics.step_s += time.perf_counter() - begun - reading
        return logits[count:] if chunks else None

    def _mixed(self, chunks: Seq[Chunk], tokens: Ints, positions: Ints, lengths: Ints) -> Floats:
        row = len(self._roll.rows.active)
        return self._graph.mixed(tokens, positions, lengths, row, [chunk.piece for chunk in chunks])

    def _read(self, chunks: Seq[Chunk], seconds: float) -> None:
        """Chunks are in the cache; they made the step longer by `seconds`."""
        tokens = 0
        for chunk in chunks:
            chunk.sequence.read = chunk.piece.stop
            tokens += len(chunk.piece.embeds)
        self._pacing.read(tokens, seconds)
        if chunks[0].sequence.urgent:
            self._pacing.earn(seconds)
        metrics = self._roll.metrics
        metrics.prefills += 1
        metrics.prefill_tokens += tokens
        metrics.prefill_s += seconds

    def _decoding(self) -> int:
        """How many rows decode now: all; or, beside urgent requests, the urgent ones alone, which may be none."""
        rows = self._roll.rows
        urgent = rows.urgent
        if not rows.pressed or urgent == len(rows.active):
            return len(rows.active)
        alone, together = self._pacing.step_s(urgent) if urgent else 0.0, self._pacing.step_s(len(rows.active))
        if alone is None or together is None or self._pacing.spend(max(together - alone, 0.0) or alone):
            return len(rows.active)
        return rows.urgent_first()

    def _speculate(self, begun: float) -> bool:
        """Check a draft of the one sequence there is; false when there is none to check."""
        rows, sequence = self._roll.rows, self._roll.rows.active[0]
        if not self._speculation.wanted():
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
            self._roll.fail([sequence], typed(error, "decoding"))
            return True
        seconds = time.perf_counter() - begun
        self._stepped(1, seconds)
        right = 0
        while True:
            self.accept(0, logits[right : right + 1])
            over = not rows.active
            if over or right == len(draft) or sequence.tokens[-1] != draft[right]:
                break
            right += 1
        self._speculation.checked(len(draft), right, seconds)
        self._roll.metrics.step_s += time.perf_counter() - begun
        return True

    def _stepped(self, count: int, seconds: float) -> None:
        self._roll.metrics.steps += 1
        self._roll.metrics.batch_sizes[count] += 1
        self._roll.metrics.graph_s += seconds

    def accept(self, first: int, logits: Floats) -> None:
        """Take the next token of rows `first` and on, free the rows that end, and tell the callers.

        Callers come last: whoever has seen a last event finds the row free and the request counted.
        """
        table = self._roll.rows
        tokens, logprobs = greedy(logits)
        count = len(tokens)
        rows = slice(first, first + count)
        sample(logits, [sequence.plan for sequence in table.active[rows]], tokens, logprobs)
        self._guide(table.active[rows], logits, tokens, logprobs)
        table.tokens[rows] = tokens
        table.positions[rows] += 1
        self._roll.metrics.tokens += count
        now = time.monotonic()
        taken = zip(table.active[rows], tokens.tolist(), logprobs, strict=True)
        outgoing = [(sequence, *self._advance(sequence, token, logprob, now)) for sequence, token, logprob in taken]
        table.lengths[rows] = [sequence.known for sequence in table.active[rows]]
        for sequence, _, over in outgoing:
            if over == "stop" or over == "length":
                self._roll.remember(sequence, sequence.known)
        for why in ("stop", "length", "error"):
            self._roll.drop([sequence for sequence, _, over in outgoing if over == why], why)
        lost = [
            sequence
            for sequence, event, over in outgoing
            if event is not None and not self._roll.deliver(sequence, event) and not over
        ]
        self._roll.drop(lost, "cancelled")

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
            self._roll.metrics.masked_tokens += int(tokens[i]) != token
        self._roll.metrics.grammar_s += time.perf_counter() - begun

    def _advance(
        self, sequence: Sequence, token: int, logprob: float, now: float
    ) -> tuple[PolicyEvent | PixelisError | None, Finish | str | None]:
        """One more token of `sequence`: what its caller is to be told, and why it ends here, if it does."""
        if not math.isfinite(logprob) or sequence.failed is not None:
            return sequence.failed or ServingError("The policy's logits are not finite for this request."), "error"
        sequence.take(token, logprob, now)
        finish = sequence.ending(token)
        return sequence.news() if finish is None else sequence.closing(finish), finish
