"""The policy: decodes for many streams at once in a thread of its own; `execute` returns at once."""

from __future__ import annotations

import queue
import threading
import time

import numpy as np

from pixelis.errors import InvalidRequest, PixelisError
from pixelis.schema import PolicyEvent, Sampling
from python_backends.adapter import Sink, StreamModel
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime
from python_backends.rows import Row, json_text

Outgoing = tuple[Sink, str, PolicyEvent | PixelisError]

_INPUTS = ("PROMPT_IDS", "VISUAL", "GRIDS", "SAMPLING")
_REPORT_SECONDS = 1.0


class Policy(StreamModel):
    """Continues prompts: `PROMPT_IDS`, `VISUAL`, `GRIDS`, `SAMPLING` -> events; or ends one: `CANCEL`."""

    def setup(self) -> None:
        """Load the artifact and start the sender."""
        self._runtime = PolicyRuntime(self.directory, threads=self.threads)
        self._outgoing: queue.SimpleQueue[Outgoing | None] = queue.SimpleQueue()
        self._report = Report(self)
        self._sender = threading.Thread(target=self._send, name="policy-sender", daemon=True)
        self._sender.start()

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
        request = PolicyRequest(
            prompt_ids=row.array("PROMPT_IDS"),
            visual=row.array("VISUAL") if "VISUAL" in row else None,
            grids=row.array("GRIDS") if "GRIDS" in row else np.zeros(0, np.int32),
            sampling=sampling,
        )
        # The decoding thread must not wait for Triton: a thread of its own sends, in order.
        self._runtime.submit(request, lambda event: self._outgoing.put((sink, sampling.request_id, event)))

    def _send(self) -> None:
        while (outgoing := self._outgoing.get()) is not None:
            sink, request_id, event = outgoing
            try:
                self._one(sink, request_id, event)
            except Exception as error:  # a broken stream must not end the sender of all the others
                self.failure(error)

    def _one(self, sink: Sink, request_id: str, event: PolicyEvent | PixelisError) -> None:
        if isinstance(event, PixelisError):
            sink.fail(event)
            return
        # A single message ends a turn of one event: see `TritonModels.generate`.
        sink.send({"EVENT": json_text(event)}, last=event.finish is not None)
        if event.finish is not None:
            self._report.publish(self._runtime)
        elif sink.cancelled:
            self._runtime.cancel(request_id)


class Report:
    """The runtime's counters as metrics, at most once a second: each one costs a message to Triton."""

    def __init__(self, model: Policy) -> None:
        self._metrics = model.metrics
        self._reported: dict[tuple[str, str], float] = {}
        self._next = 0.0

    def publish(self, runtime: PolicyRuntime) -> None:
        """Send what has changed."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _REPORT_SECONDS
        counted = runtime.metrics.snapshot()
        for size, steps in counted["batch_sizes"].items():
            self._grow("pixelis_policy_steps_total", steps, batch=str(size))
        for reason, turns in counted["finished"].items():
            self._grow("pixelis_policy_turns_total", turns, finish=str(reason))
        self._grow("pixelis_policy_tokens_total", counted["tokens"])
        self._grow("pixelis_policy_masked_tokens_total", counted["masked_tokens"])
        self._grow("pixelis_policy_queue_seconds_total", counted["queue_wait_s"])
        self._grow("pixelis_policy_step_seconds_total", counted["step_s"])
        self._metrics.gauge("pixelis_policy_active_sequences", counted["active"])
        self._metrics.gauge("pixelis_policy_waiting_sequences", counted["waiting"])

    def _grow(self, name: str, value: float, **labels: str) -> None:
        key = (name, "".join(labels.values()))
        grown = value - self._reported.get(key, 0.0)
        if grown > 0:
            self._metrics.count(name, grown, **labels)
            self._reported[key] = value
