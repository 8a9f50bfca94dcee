"""The policy as one object: submit a request from any thread, get its events."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np

from pixelis.errors import SetupError, Unavailable
from python_backends.policy.grammar import CallGrammar
from python_backends.policy.graph import DecoderGraph
from python_backends.policy.metrics import PolicyMetrics
from python_backends.policy.profile import Profile
from python_backends.policy.request import EventSink, PolicyRequest, prepare
from python_backends.policy.scheduler import Cancel, Close, Scheduler

MAX_LEN = 2048
SLOTS = 8


class PolicyRuntime:
    """A policy artifact that decodes for many callers at once.

    Args:
        directory: version folder of `policy`.
        slots: sequences decoded together; more wait their turn.
        threads: threads of one graph step.
        max_len: tokens of prompt and continuation; at most what the checkpoint's positions cover.

    Attributes:
        metrics: counters and gauges.
        max_len: the limit in force.

    Raises:
        SetupError: the artifact is not complete, its graph does not answer, or its tokenizer cannot be decoded under
            the grammar that its profile wants.
    """

    def __init__(self, directory: Path, slots: int = SLOTS, threads: int = 1, max_len: int = MAX_LEN) -> None:
        graph = DecoderGraph(directory, slots, max_len, threads)
        _try_out(graph)
        self.config = graph.config
        self.max_len = graph.max_len
        self.metrics = PolicyMetrics()
        self._grammar = CallGrammar(directory, graph.config) if Profile.load(directory).grammar else None
        self._embeddings = graph.embeddings
        self._scheduler = Scheduler(graph, self.metrics)
        self._closed = False

    def submit(self, request: PolicyRequest, on_event: EventSink) -> None:
        """Queue `request`; its events arrive at `on_event`, in order, from the decoding thread.

        With `sampling.stream` there is one event a token; the last one has `finish`. Otherwise there is a single event.
        The token that ends a turn is part of the tokens. An error that comes later than this call arrives as a
        `PixelisError` and is the last event.

        Raises:
            InvalidRequest: see `request.prepare`.
            LimitExceeded: the prompt is longer than `max_len`.
            Unavailable: the runtime was closed.
        """
        if self._closed:
            raise Unavailable("The policy was closed.", mend="Load the model again.")
        prepared = prepare(request, on_event, self.config, self._embeddings, self.max_len, self._grammar)
        self._scheduler.inbox.put(prepared)

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
