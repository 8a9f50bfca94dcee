"""The same steps as one stream: `execute` returns at once, a pool of threads sends."""

from __future__ import annotations

import time
from collections.abc import Callable

from pixelis.errors import PixelisError
from pixelis.schema import Event, Options
from pixelis.settings import settings
from python_backends.adapter import Sink, StreamModel, log_info
from python_backends.channel.folder import FOLDER
from python_backends.channel.listener import Listener
from python_backends.deadlines import Pool
from python_backends.images import DecodedImages
from python_backends.pipeline.agent import Agent as Steps
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.reason import Cancelled
from python_backends.rows import Row, json_text
from python_backends.serving.steps import Kept
from python_backends.tracing import recorder

STREAMS = 32
"""Requests that run side by side; more wait their turn."""

_POLL_SECONDS = 0.05


class Agent(StreamModel):
    """`IMAGE`, `QUESTION`, `OPTIONS` -> `EVENT`s; the last one is `answer` or `error`."""

    def setup(self) -> None:
        """Read the checkpoint and wire the steps."""
        self._kept, decoded = Kept(self), DecodedImages()
        self._listener = self._listen()
        ahead = settings().retrieval.embed_ahead
        models, requests = self._kept.siblings(self._listener), self._kept.requests()
        self._steps = self._kept.each(
            lambda name, at: Steps.wire(
                models.of(name), Voice.load(at), settings(), decoded, requests, self._kept.lease(name), ahead=ahead
            )
        )
        self._kept.start()
        self._pool = Pool(STREAMS, "agent")

    def finalize(self) -> None:
        """Keep what is in memory, and close the channel."""
        self._kept.close()
        if self._listener is not None:
            self._listener.close()

    def _listen(self) -> Listener | None:
        try:
            return Listener(settings().state / FOLDER)
        except OSError as error:
            log_info(
                f"{self.name}: tokens come a turn at a time, because there is no channel from the policy: {error}."
            )
            return None

    def serve(self, row: Row, sink: Sink) -> None:
        """Queue a request."""
        arrived = time.time()
        self._pool.submit(lambda: self._run(row, sink, arrived))

    def _run(self, row: Row, sink: Sink, arrived: float) -> None:
        started = time.perf_counter()
        try:
            with recorder.within(sink.span):
                self._stream(row, sink, arrived)
        except Cancelled:
            self.metrics.count("pixelis_agent_cancelled_total")
        except Exception as error:  # whatever it is, the stream ends with it
            self._fail(sink, error)
        finally:
            self.metrics.observe("pixelis_stage_seconds", time.perf_counter() - started)
            self.report_abandoned()
            sink.close()

    def _stream(self, row: Row, sink: Sink, arrived: float) -> None:
        options = row.string("OPTIONS") if "OPTIONS" in row else None
        steps = self._steps(Options.parse(options).model)
        events = steps.run(
            row.strings("IMAGE"),
            row.string("QUESTION"),
            options,
            row.request_id,
            cancelled=polled(lambda: sink.cancelled),
            arrived=arrived,
        )
        for event in events:
            sink.send({"EVENT": json_text(event)})

    def _fail(self, sink: Sink, error: BaseException) -> None:
        known: PixelisError = self.failure(error)
        self.metrics.count("pixelis_request_errors_total", code=known.code)
        sink.send({"EVENT": json_text(Event(event="error", code=known.code, text=str(known)))})


def polled(ask: Callable[[], bool]) -> Callable[[], bool]:
    """`ask`, at most twenty times a second: each asking is a message to Triton."""
    state = {"next": 0.0}

    def cancelled() -> bool:
        now = time.monotonic()
        if now < state["next"]:
            return False
        state["next"] = now + _POLL_SECONDS
        return ask()

    return cancelled
