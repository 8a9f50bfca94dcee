"""The policy: decodes for many streams at once in a thread of its own; `execute` returns at once."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from pixelis.errors import InvalidRequest, PixelisError
from pixelis.schema import PolicyEvent, Sampling
from pixelis.settings import settings
from python_backends.adapter import Sink, StreamModel, log_info
from python_backends.channel.folder import FOLDER
from python_backends.channel.speaker import Speaker, SpokenTurn
from python_backends.policy.metrics import PolicyMetrics, Turn
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime
from python_backends.policy.written import EventSink
from python_backends.rows import Row, json_text

Outgoing = tuple[Sink, str, SpokenTurn | None, PolicyEvent | PixelisError]

_INPUTS = ("PROMPT_IDS", "VISUAL", "GRIDS", "SAMPLING")
_REPORT_SECONDS = 1.0

COUNTERS = {
    "tokens": "pixelis_policy_tokens_total",
    "masked_tokens": "pixelis_policy_masked_tokens_total",
    "prefill_tokens": "pixelis_policy_prompt_tokens_total",
    "padded_tokens": "pixelis_policy_padded_tokens_total",
    "prefix_tokens": "pixelis_policy_prefix_tokens_total",
    "prefix_found": "pixelis_policy_prefix_hit_tokens_total",
    "prefix_evicted": "pixelis_policy_prefix_evicted_blocks_total",
    "drafted": "pixelis_policy_draft_tokens_total",
    "accepted": "pixelis_policy_accepted_draft_tokens_total",
    "preemptions": "pixelis_policy_preemptions_total",
    "refused": "pixelis_policy_refused_total",
    "recut": "pixelis_policy_recut_prompts_total",
    "step_s": "pixelis_policy_step_seconds_total",
    "graph_s": "pixelis_policy_graph_seconds_total",
    "grammar_s": "pixelis_policy_grammar_seconds_total",
    "prefill_s": "pixelis_policy_prefill_seconds_total",
}
GAUGES = {
    "active": "pixelis_policy_active_sequences",
    "waiting": "pixelis_policy_waiting_sequences",
    "cached_tokens": "pixelis_policy_kv_tokens",
    "prefix_bytes": "pixelis_policy_prefix_bytes",
}
"""Fields of `PolicyMetrics`, and what they are called outside."""


class Runtime(Protocol):
    """Whoever decodes. See `PolicyRuntime`."""

    metrics: PolicyMetrics

    def submit(self, request: PolicyRequest, on_event: EventSink) -> None:
        """Queue a request; its events arrive at `on_event`."""

    def cancel(self, request_id: str) -> None:
        """End a request with finish `cancelled`."""

    def close(self) -> None:
        """End; requests that are left get `Unavailable`."""


class Policy(StreamModel):
    """Continues prompts: `PROMPT_IDS`, `VISUAL`, `GRIDS`, `SAMPLING` -> events; or ends one: `CANCEL`."""

    def setup(self) -> None:
        """Load the artifact and start the sender."""
        self._runtime = self.opened()
        self._speaker = Speaker(settings().state / FOLDER)
        self._outgoing: queue.SimpleQueue[Outgoing | None] = queue.SimpleQueue()
        self._report = Report(self)
        self._sender = threading.Thread(target=self._send, name="policy-sender", daemon=True)
        self._sender.start()

    def opened(self) -> Runtime:
        """What decodes."""
        runtime = PolicyRuntime(self.directory, self.threads, settings().decoding)
        limits, row = runtime.limits, runtime.row_bytes / 2**20
        log_info(
            f"{self.name}: {limits.slots} rows of {limits.max_len} tokens, {row:.1f} MiB each; "
            f"{limits.prefix_bytes / 2**20:.0f} MiB for prompts that begin alike"
        )
        return runtime

    def finalize(self) -> None:
        """End the decoding; what is left gets `Unavailable`."""
        self._runtime.close()
        self._outgoing.put(None)
        self._sender.join(5.0)

    def serve(self, row: Row, sink: Sink) -> None:
        """Hand a request to the runtime, or a cancel."""
        if "CANCEL" in row:
            self._runtime.cancel(row.string("CANCEL").decode())
            sink.close()
            return
        missing = [name for name in ("PROMPT_IDS", "SAMPLING") if name not in row]
        if missing:
            raise InvalidRequest(f"Inputs {', '.join(missing)} are missing.", mend=f"Send {_INPUTS}, or CANCEL.")
        sampling = row.parsed("SAMPLING", Sampling)
        sink.span.note(turn=sampling.request_id)
        turn = self._speaker.turn(sampling)
        if turn is not None:
            sampling = sampling.model_copy(update={"stream": True})
        request = PolicyRequest(
            prompt_ids=row.array("PROMPT_IDS"),
            visual=row.array("VISUAL") if "VISUAL" in row else None,
            grids=row.array("GRIDS") if "GRIDS" in row else np.zeros(0, np.int32),
            sampling=sampling,
        )
        # The decoding thread must not wait for Triton: a thread of its own sends, in order.
        self._runtime.submit(request, lambda event: self._outgoing.put((sink, sampling.request_id, turn, event)))

    def _send(self) -> None:
        while True:
            try:
                outgoing = self._outgoing.get(timeout=self._report.due())
            except queue.Empty:
                self._guard(partial(self._report.publish, self._runtime))
                continue
            if outgoing is None:
                return
            self._guard(partial(self._one, *outgoing))

    def _guard(self, work: Callable[[], None]) -> None:
        """A broken stream must not end the sender of all the others."""
        try:
            work()
        except Exception as error:
            self.failure(error)

    def _one(self, sink: Sink, request_id: str, turn: SpokenTurn | None, event: PolicyEvent | PixelisError) -> None:
        told = event if turn is None else turn.take(event)
        if isinstance(told, PixelisError):
            sink.fail(told)
        elif told is not None:
            # A single message ends a turn of one event: see `TritonModels.generate`.
            sink.send({"EVENT": json_text(told)}, last=told.finish is not None)
            if told.finish is None and sink.cancelled:
                self._runtime.cancel(request_id)
        self._report.publish(self._runtime)


class Report:
    """The runtime's counters as metrics, at most once a second: each one costs a message to Triton."""

    def __init__(self, model: Policy) -> None:
        self._metrics = model.metrics
        self._reported: dict[tuple[str, str], float] = {}
        self._next = 0.0
        self._late = False

    def due(self) -> float | None:
        """Seconds until something that is already known may be sent; none where there is nothing."""
        return max(0.0, self._next - time.monotonic()) if self._late else None

    def publish(self, runtime: Runtime) -> None:
        """Send what has changed, or leave it for later."""
        now = time.monotonic()
        self._late = now < self._next
        if self._late:
            return
        self._next = now + _REPORT_SECONDS
        counted = runtime.metrics.snapshot()
        for size, steps in counted["batch_sizes"].items():
            self._grow("pixelis_policy_steps_total", steps, batch=str(size))
        for reason, turns in counted["finished"].items():
            self._grow("pixelis_policy_turns_total", turns, finish=str(reason))
        for field, name in COUNTERS.items():
            self._grow(name, counted[field])
        for field, name in GAUGES.items():
            self._metrics.gauge(name, counted[field])
        while runtime.metrics.turns:
            self._observe(runtime.metrics.turns.popleft())

    def _observe(self, turn: Turn) -> None:
        priority = "urgent" if turn.urgent else "ordinary"
        self._metrics.observe("pixelis_policy_queue_seconds", turn.queue_s, priority=priority)
        if turn.first_s is not None:
            self._metrics.observe("pixelis_policy_first_token_seconds", turn.first_s, priority=priority)
        if turn.token_s is not None:
            self._metrics.observe("pixelis_policy_inter_token_seconds", turn.token_s, priority=priority)

    def _grow(self, name: str, value: float, **labels: str) -> None:
        key = (name, "".join(labels.values()))
        grown = value - self._reported.get(key, 0.0)
        if grown > 0:
            self._metrics.count(name, grown, **labels)
            self._reported[key] = value
