"""Iteration-level batching: sequences join and leave between any two decode steps, prompts are read in chunks.

Orca (Yu et al., OSDI 2022) and Sarathi-Serve (arXiv 2403.02310). One thread owns the graph and its cache:

    inbox -> waiting (two classes) -> a row: what is known of its prompt is copied, a chunk of the rest is read
          -> decode all rows (urgent ones alone, while there are any and the others have had their share) -> events

Everything that the thread touches belongs to it alone; other threads only put messages into the inbox.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Thread

from pixelis.errors import Unavailable
from python_backends.policy.graph import DecoderGraph
from python_backends.policy.metrics import PolicyMetrics
from python_backends.policy.pacing import Pacing
from python_backends.policy.prefix_cache import PrefixCache
from python_backends.policy.reading import PromptReader
from python_backends.policy.request import Sequence
from python_backends.policy.roll import Roll, typed
from python_backends.policy.speculation import Speculation
from python_backends.policy.stepping import Stepper
from python_backends.tracing import NOBODY, recorder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cancel:
    """A message: end the sequence of this request."""

    request_id: str


@dataclass(frozen=True)
class Close:
    """A message: end everything and the thread."""


def _counted(metrics: PolicyMetrics) -> dict[str, float]:
    return {
        "graph_s": metrics.graph_s + metrics.prefill_s,
        "grammar_s": metrics.grammar_s,
        "read": metrics.prefill_tokens,
        "decoded": metrics.tokens,
    }


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
        self._pacing = pacing
        self._speculation = speculation
        self._roll = Roll(graph, metrics, prefixes)
        self._stepper = Stepper(self._roll, graph, pacing, speculation)
        self._reader = PromptReader(self._roll, graph, pacing, self._stepper.accept)
        self.thread = Thread(target=self._loop, name="policy", daemon=True)
        self.thread.start()

    def _loop(self) -> None:
        while self._receive():
            self._guard(self._iterate, "scheduling")
        self._roll.fail(self._roll.everybody(), Unavailable("The policy is shutting down.", mend="Try again."))

    def _iterate(self) -> None:
        known = list(self._roll.known) if recorder.on else []
        with recorder.span("step", "step", NOBODY, turns=known) as span:
            before = _counted(self._roll.metrics)
            self._iterated()
            span.note(**{name: now - before[name] for name, now in _counted(self._roll.metrics).items()})

    def _iterated(self) -> None:
        if time.time() >= self._roll.next_deadline:
            self._roll.expire()
        if self._roll.waiting.urgent:
            self._reader.make_room()
        self._reader.read()
        chunks = self._reader.held()
        logits = self._stepper.step(chunks) if self._roll.rows.active else None
        self._reader.finish(chunks, logits)
        self._roll.count()
        metrics, tried = self._roll.metrics, self._speculation
        metrics.drafted, metrics.accepted = tried.drafted, tried.accepted

    def _receive(self) -> bool:
        """Take what is in the inbox; wait for a message when there is nothing to do. False: close."""
        while not self._roll.known or not self.inbox.empty():
            message = self.inbox.get()
            if isinstance(message, Close):
                return False
            self._guard(partial(self._handle, message), "queueing")
        return True

    def _handle(self, message: Sequence | Cancel) -> None:
        if isinstance(message, Cancel):
            known = self._roll.known.get(message.request_id)
            self._roll.end([] if known is None else [known], "cancelled")
            return
        with recorder.span("take", "step", NOBODY, turns=[message.sampling.request_id]):
            self._roll.enqueue(message)

    def _guard(self, work: Callable[[], None], what: str) -> None:
        """An error outside a graph call is a fault of this file: no sequence survives it, the thread does."""
        try:
            work()
        except Exception as error:
            log.exception("policy: %s failed", what)
            self._roll.fail(self._roll.everybody(), typed(error, what))
