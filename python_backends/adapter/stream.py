"""Models that answer as often as they like, and where their answers go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import triton_python_backend_utils as pb_utils

from python_backends.adapter.model import Model
from python_backends.adapter.tensors import rows_of, sender_of, tensors_of
from python_backends.rows import Row, Tensors
from python_backends.tracing import Span, recorder


class StreamModel(Model):
    """Any number of answers a request, sent from threads of its own after `execute` has returned."""

    def serve(self, row: Row, sink: Sink) -> None:
        """Begin one request; must return at once, and close `sink` some time later."""
        raise NotImplementedError

    def execute(self, requests: Sequence[Any]) -> None:
        """Called by Triton; returns as soon as every request has begun."""
        for request in requests:
            span = recorder.begin(self.name, "turn", sender_of(request), request=request.request_id())
            sink = Sink(self, request.get_response_sender(), span)
            try:
                (row,) = rows_of(request, batched=False)
                self.serve(row, sink)
            except Exception as error:  # becomes this request's answer
                sink.fail(error)


class Sink:
    """Where a stream's answers go. After `close` or `fail` nothing more is sent.

    Attributes:
        span: of the request, ended with it.
    """

    def __init__(self, model: Model, sender: Any, span: Span) -> None:
        self._model = model
        self._sender = sender
        self._open = True
        self.span = span

    @property
    def cancelled(self) -> bool:
        """Whether the client has gone or has asked to stop."""
        return bool(self._sender.is_cancelled())

    def send(self, row: Tensors, *, last: bool = False) -> None:
        """One answer, held to the model's contract; the `last` one ends the stream in the same message."""
        if not self._open:
            return
        response = pb_utils.InferenceResponse(output_tensors=tensors_of(self._model.contract.stack([row])))
        if last:
            self._end(response)
        else:
            self._sender.send(response)

    def fail(self, error: BaseException) -> None:
        """End the stream with an error."""
        self._end(self._model.refuse(error))

    def close(self) -> None:
        """End the stream."""
        self._end(None)

    def _end(self, last: Any) -> None:
        if not self._open:
            return
        self._open = False
        final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        if last is None:
            self._sender.send(flags=final)
        else:
            self._sender.send(last, flags=final)
        self.span.end()
