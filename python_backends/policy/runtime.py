"""The policy as one object: submit a request from any thread, get its events."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import numpy as np

from pixelis.errors import SetupError, Unavailable
from pixelis.settings import Decoding
from python_backends.policy.calls.vocabulary import Vocabulary
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.executors import open_decoder
from python_backends.policy.grammar import CallGrammar
from python_backends.policy.graph import DecoderGraph
from python_backends.policy.metrics import PolicyMetrics
from python_backends.policy.pacing import Pacing
from python_backends.policy.prefix_cache import PrefixCache
from python_backends.policy.profile import Profile
from python_backends.policy.request import PolicyRequest, prepare
from python_backends.policy.scheduler import Cancel, Close, Scheduler
from python_backends.policy.speculation import Speculation
from python_backends.policy.written import URGENT, EventSink

MIB = 1 << 20


class PolicyRuntime:
    """A policy artifact that decodes for many callers at once.

    Args:
        directory: version folder of `policy`.
        threads: threads of one graph step.
        limits: what it may take; `**changed` are fields of it that differ.

    Attributes:
        metrics: counters and gauges.
        limits: in force: `slots` and `max_len` as they came out.
        row_bytes: keys and values of one row.

    Raises:
        SetupError: the artifact is not complete, its graph does not answer, its tokenizer cannot be decoded under the
            grammar that its profile wants, or not one sequence fits into `cache_bytes`.
    """

    def __init__(self, directory: Path, threads: int = 1, limits: Decoding | None = None, **changed: Any) -> None:
        wanted = Decoding.model_validate({**(limits or Decoding()).model_dump(), **changed})
        graph = open_decoder(directory, _fitting(directory, wanted), wanted.max_len, threads)
        _try_out(graph)
        self.config = graph.config
        self.limits = wanted.model_copy(update={"slots": graph.slots, "max_len": graph.max_len})
        self.metrics = PolicyMetrics()
        self._grammar = CallGrammar(directory, graph.config) if Profile.load(directory).grammar else None
        self._vocabulary = self._grammar.vocabulary if self._grammar else _vocabulary(directory, graph.config)
        self._embeddings = graph.embeddings
        self.row_bytes = graph.token_bytes * graph.max_len
        self._scheduler = Scheduler(
            graph,
            self.metrics,
            PrefixCache(wanted.prefix_bytes),
            Pacing(graph.slots, wanted.inter_token_ms and wanted.inter_token_ms / 1e3),
            Speculation(wanted.speculation),
        )
        self._refusing = Lock()
        self._closed = False

    @property
    def max_len(self) -> int:
        """Tokens of prompt and continuation."""
        return self.limits.max_len

    def submit(self, request: PolicyRequest, on_event: EventSink) -> None:
        """Queue `request`; its events arrive at `on_event`, in order, from the decoding thread.

        With `sampling.stream` there is an event for each token, or for several where a stop text might have begun; the
        last one has `finish`. Otherwise there is a single event. The token that ends a turn is part of the tokens. An
        error that comes later than this call arrives as a `PixelisError` and is the last event.

        Raises:
            InvalidRequest: see `request.prepare`.
            LimitExceeded: the prompt is longer than `max_len`.
            Unavailable: the runtime was closed, or too many wait already: then it says when to come again.
        """
        if self._closed:
            raise Unavailable("The policy was closed.", mend="Load the model again.")
        self._check_queue(request.sampling.priority >= URGENT)
        fixed = self._embeddings, self.max_len, self._grammar, self._vocabulary
        prepared = prepare(request, on_event, self.config, *fixed)
        self._scheduler.inbox.put(prepared)

    def _check_queue(self, urgent: bool) -> None:
        waiting = self.metrics.waiting + self._scheduler.inbox.qsize()
        most = self.limits.max_waiting * (1 + urgent)
        if waiting < most:
            return
        with self._refusing:
            self.metrics.refused += 1
        wait = self.metrics.clearing_s(waiting)
        raise Unavailable(
            f"{waiting} requests wait for the policy, which is as many as may.",
            mend=f"Try again in {wait:.1f} s.",
            retry_after_s=wait,
        )

    def cancel(self, request_id: str) -> None:
        """End a request with finish `cancelled`. An id that is not being answered is none of our business."""
        self._scheduler.inbox.put(Cancel(request_id))

    def close(self, timeout_s: float = 10.0) -> None:
        """End the thread; requests that are left get `Unavailable`."""
        self._closed = True
        self._scheduler.inbox.put(Close())
        self._scheduler.thread.join(timeout_s)

    def __enter__(self) -> PolicyRuntime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _vocabulary(directory: Path, config: CheckpointConfig) -> Vocabulary | None:
    """What the tokens say, for stop texts; a checkpoint whose tokenizer is not understood answers without them."""
    try:
        return Vocabulary.load(directory, config.vocabulary)
    except SetupError:
        return None  # a request with `stop` is told


def _fitting(directory: Path, limits: Decoding) -> int:
    """Slots that fit into the budget of bytes.

    Raises:
        SetupError: not one does.
    """
    config = CheckpointConfig.load(directory)
    length = min(limits.max_len, config.max_positions)
    row = length * config.token_bytes
    if row > limits.cache_bytes:
        raise SetupError(
            f"One sequence of {length} tokens takes {row / MIB:.0f} MiB of keys and values, the policy may have "
            f"{limits.cache_bytes / MIB:.0f} MiB.",
            mend="Give it a larger cache_bytes, or a smaller max_len.",
        )
    return int(min(limits.slots, limits.cache_bytes // row))


def _try_out(graph: DecoderGraph) -> None:
    """Read one token and decode one, so that a graph that does not fit is found at load, not at the first request."""
    zero = np.zeros(1, np.int64)
    try:
        logits = graph.prefill(0, [graph.embeddings[zero]], [np.zeros((3, 1), np.int64)])
        logits = logits + graph.decode(zero, zero + 1, zero + 1)
    except Exception as error:
        raise SetupError(
            f"The policy's graph does not run: {str(error).splitlines()[0]}.",
            mend="Build it again with `pixelis build policy`.",
        ) from error
    if not np.isfinite(logits).all():
        raise SetupError("The policy's graph answers with values that are not finite.", mend="Check the checkpoint.")
