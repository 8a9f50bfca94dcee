"""Triton tensors <-> plain typed calls. The only module that imports `triton_python_backend_utils`.

    requests -> rows -> answer(rows) -> contract -> responses        UnaryModel
    requests -> rows -> one(row), side by side, each sent when done  SideBySideModel
    request  -> row  -> serve(row, sink), returns at once            StreamModel
    Caller                                                           calls of sibling models, each with a deadline

One bad request never fails its batch: each gets its own error, as `code: message` text.
"""

from __future__ import annotations

import json
import queue
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from pixelis import integrity
from pixelis.errors import (
    DeadlineExceeded,
    IntegrityError,
    NotFound,
    PixelisError,
    RequestError,
    ServingError,
    Unavailable,
    from_wire,
)
from pixelis.published import MANIFEST
from pixelis.settings import settings
from python_backends.artifacts import ANY_VERSION
from python_backends.deadlines import Bell, Linger, abandoned, call_by, run_all, stream_by
from python_backends.metrics import Metrics
from python_backends.rows import Contract, Row, Tensors, split
from python_backends.siblings import Siblings
from python_backends.tracing import NOBODY, Span, recorder
from python_backends.tracing.switch import FOLDER as TRACES

_FORGOTTEN_SECONDS = 10.0
"""How long after a BLS stream's end we hold its iterator.

Triton 2.51 forgets the stream in a thread that does not hold the interpreter lock; if that were the last reference,
the tensors would be freed there, and the interpreter's heap broken. It takes milliseconds.
"""

_NOT_UP = (
    "is not healthy",
    "is not ready",
    "is not found",
    "not found in the repository",
    "unexpectedly",
    "unavailable",
)


class Model:
    """What every served model has in common.

    A subclass gives `setup`. Attributes: `name`, `instance` (of several processes of a model), `version`, `directory`
    (of the version served), `repository` (that holds the siblings), `parameters` (of the configuration), `threads` (its
    budget), `contract`, `metrics`, `caller`.
    """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Called by Triton once, before the first request."""
        config = json.loads(args["model_config"])
        self.name: str = config["name"]
        self.instance: str = args.get("model_instance_name", self.name)
        self.version: str = args["model_version"]
        self.repository = Path(args["model_repository"]).parent
        self.directory = Path(args["model_repository"]) / self.version
        self.parameters = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
        budget = self.parameters.get("threads")
        self.threads = int(budget) if budget else settings().threads.intra_op
        self.contract = Contract(config)
        self.metrics = Metrics(pb_utils.MetricFamily, self.name, self.version)
        self.caller = Caller()
        self._abandoned = 0
        recorder.open(settings().state / TRACES, self.name)
        self._verify()
        self.setup()

    def _verify(self) -> None:
        """What is loaded is what was published, by whichever way it came to be loaded."""
        if not settings().server.verify:
            return
        try:
            integrity.verify(self.directory, settings().state, needed=self.parameters.get("artifact") == MANIFEST)
        except IntegrityError as error:
            raise pb_utils.TritonModelException(error.wire()) from None

    def setup(self) -> None:
        """Load what the model needs."""

    def finalize(self) -> None:
        """Called by Triton at the end."""

    def failure(self, error: BaseException) -> PixelisError:
        """`error` as one of ours; an unexpected one is logged with its traceback, which does not travel."""
        if isinstance(error, PixelisError):
            return error
        trace = "".join(traceback.format_exception(error))
        pb_utils.Logger.log_error(f"{self.name}: {trace}")
        return ServingError(f"Model `{self.name}` failed on this request ({type(error).__name__}).")

    def report_abandoned(self) -> None:
        """Count the threads that did not come back by their deadline since the last report."""
        now = abandoned.value
        if now > self._abandoned:
            self.metrics.count("pixelis_abandoned_threads_total", now - self._abandoned)
            self._abandoned = now

    def respond(self, answers: Sequence[Tensors | BaseException]) -> Any:
        """The response to one request, of its rows' answers; it fails as a whole, and says with which row."""
        try:
            good = []
            for row, answer in enumerate(answers):
                if isinstance(answer, BaseException):
                    return self.refuse(answer if len(answers) == 1 else self._member(answer, row))
                good.append(answer)
            return pb_utils.InferenceResponse(output_tensors=_tensors(self.contract.stack(good)))
        except Exception as error:  # becomes this request's answer
            return self.refuse(error)

    def _member(self, error: BaseException, row: int) -> PixelisError:
        """The error, with the row of the client's batch that it is about."""
        known = self.failure(error)
        return type(known)(f"Row {row} of the batch: {known.message}", mend=known.mend)

    def refuse(self, error: BaseException) -> Any:
        """The response that carries `error`."""
        known = self.failure(error)
        self.metrics.count("pixelis_request_errors_total", code=known.code)
        return pb_utils.InferenceResponse(output_tensors=[], error=_triton_error(known))


def log_info(text: str) -> None:
    """A line in Triton's log."""
    pb_utils.Logger.log_info(text)


class UnaryModel(Model):
    """One answer a request. A subclass gives `answer`, which sees the rows of all requests of a batch together."""

    def answer(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
        """Outputs of each row, or what went wrong with it, in the order of `rows`."""
        raise NotImplementedError

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Called by Triton with what it batched together; one response a request."""
        started = time.perf_counter()
        of = [{"span": _sender(request), "request": request.request_id()} for request in requests if recorder.on]
        with recorder.span(self.name, "execute", NOBODY, of=of):
            responses = self._executed(requests)
        self.metrics.observe("pixelis_stage_seconds", time.perf_counter() - started)
        self.report_abandoned()
        return responses

    def _executed(self, requests: Sequence[Any]) -> list[Any]:
        with recorder.span("read"):
            decoded = [_decode(request, self.contract.batched) for request in requests]
        rows = [row for found in decoded if isinstance(found, list) for row in found]
        answers = iter(self._answer(rows)) if rows else iter(())
        responses = []
        with recorder.span("respond"):
            for found in decoded:
                if isinstance(found, BaseException):
                    responses.append(self.refuse(found))
                else:
                    responses.append(self.respond([next(answers) for _ in found]))
        return responses

    def _answer(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
        try:
            return self.answer(rows)
        except Exception as error:  # becomes the answer of the row that caused it
            # One row spoiled the batch: alone, each shows whether it was the one.
            return [error] if len(rows) == 1 else [self._answer([row])[0] for row in rows]


class SideBySideModel(Model):
    """One answer a request, each sent as soon as it is there: a short request does not wait for its batch's long ones.

    A subclass gives `one` and `until`. `execute` lasts as long as its longest request, because only while it lasts does
    Triton notice that the process has died.
    """

    def one(self, row: Row) -> Tensors:
        """Outputs of one row, in a thread of its own."""
        raise NotImplementedError

    def until(self, row: Row) -> float:
        """How long a row's answer is waited for, in seconds since the epoch; raises what is wrong with the row."""
        raise NotImplementedError

    def execute(self, requests: Sequence[Any]) -> list[None]:
        """Called by Triton with what it batched together; the responses go by the requests' senders."""
        started = time.perf_counter()
        done: queue.SimpleQueue[tuple[Any, Sequence[Tensors | BaseException]]] = queue.SimpleQueue()
        for request in requests:
            found = _decode(request, self.contract.batched)
            begun = threading.Thread(target=self._answer, args=(request, found, done), name=self.name, daemon=True)
            try:
                begun.start()
            except RuntimeError as error:  # no thread for it; the others of its batch have theirs
                done.put((request, [error]))
        for _ in requests:
            request, answers = done.get()
            final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            request.get_response_sender().send(self.respond(answers), flags=final)
        self.metrics.observe("pixelis_stage_seconds", time.perf_counter() - started)
        self.report_abandoned()
        return [None] * len(requests)

    def _answer(
        self,
        request: Any,
        found: list[Row] | BaseException,
        done: queue.SimpleQueue[tuple[Any, Sequence[Tensors | BaseException]]],
    ) -> None:
        """The answers of a request's rows, or what is wrong with it."""
        if isinstance(found, BaseException):
            done.put((request, [found]))
            return
        try:
            deadlines, sender = [self.until(row) for row in found], _sender(request)
            done.put((request, run_all([partial(self._row, row, sender) for row in found], deadlines, self.name)))
        except BaseException as error:  # becomes this request's answer; a request without one would hang
            done.put((request, [error]))

    def _row(self, row: Row, sender: str) -> Tensors:
        with recorder.span(self.name, "row", sender, request=row.request_id):
            return self.one(row)


class StreamModel(Model):
    """Any number of answers a request, sent from threads of its own after `execute` has returned."""

    def serve(self, row: Row, sink: Sink) -> None:
        """Begin one request; must return at once, and close `sink` some time later."""
        raise NotImplementedError

    def execute(self, requests: Sequence[Any]) -> None:
        """Called by Triton; returns as soon as every request has begun."""
        for request in requests:
            span = recorder.begin(self.name, "turn", _sender(request), request=request.request_id())
            sink = Sink(self, request.get_response_sender(), span)
            try:
                (row,) = _rows(request, batched=False)
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
        response = pb_utils.InferenceResponse(output_tensors=_tensors(self._model.contract.stack([row])))
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


class Caller:
    """Calls of sibling models (BLS). Inputs carry the batch axis where the sibling has one."""

    def __init__(self) -> None:
        self._ended = Linger(_FORGOTTEN_SECONDS)
        self._siblings = Siblings()

    def call(
        self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float, version: int = ANY_VERSION
    ) -> Tensors:
        """One answer of `model`.

        Args:
            model: a sibling's name.
            inputs: arrays by name.
            outputs: names wanted.
            deadline: seconds since the epoch.
            version: that must answer; by default the one that is served.

        Raises:
            DeadlineExceeded: it did not answer in time.
            Unavailable: it is not loaded, or its process is dead.
            PixelisError: the error that it answered with.
        """
        with recorder.span(model, "call") as span:
            request = pb_utils.InferenceRequest(
                model_name=model,
                requested_output_names=list(outputs),
                inputs=_tensors(inputs),
                model_version=version,
                parameters=recorder.sent(span),
            )
            return call_by(deadline, lambda: _read(_exec(request, model), model, outputs), model)

    def ready(self, model: str, version: str) -> bool:
        """Whether this version of a sibling is loaded."""
        try:
            return bool(pb_utils.is_model_ready(model_name=model, model_version=version))
        except pb_utils.TritonModelException:
            return False

    def one(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        output: str,
        deadline: float,
        version: int = ANY_VERSION,
    ) -> NDArray[Any]:
        """As `call`, for a model of which one output is wanted."""
        return self.call(model, dict(inputs), [output], deadline, version)[output]

    def stream(
        self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float, bell: Bell[Tensors] | None = None
    ) -> Iterator[Tensors]:
        """The answers of a decoupled `model`, as they come; raises as `call` does, and soon where its process dies.

        Args:
            model: a sibling's name.
            inputs: arrays by name.
            outputs: names wanted.
            deadline: seconds since the epoch.
            bell: see `stream_by`.
        """
        span = recorder.begin(model, "call")
        request = pb_utils.InferenceRequest(
            model_name=model,
            requested_output_names=list(outputs),
            inputs=_tensors(inputs),
            parameters=recorder.sent(span),
        )

        def answers() -> Iterator[Tensors]:
            responses, failed = _exec(request, model, decoupled=True), None
            try:
                for response in responses:  # to its end, also after an error: that is when Triton forgets it
                    if response.has_error():
                        failed = response
                    elif response.output_tensors():
                        yield _read(response, model, outputs)
            finally:
                self._ended.keep(responses)
            if failed is not None:
                _read(failed, model, outputs)

        return _to_its_end(span, stream_by(deadline, answers, model, self._siblings.watch(model), bell))


def _sender(request: Any) -> str:
    """The span that sent a request, while spans are wanted."""
    return recorder.sender(request.parameters()) if recorder.on else NOBODY


def _to_its_end(span: Span, items: Iterator[Tensors]) -> Iterator[Tensors]:
    try:
        yield from items
    finally:
        span.end()


def _decode(request: Any, batched: bool) -> list[Row] | BaseException:
    try:
        return _rows(request, batched)
    except Exception as error:  # becomes this request's answer
        return error


def _rows(request: Any, batched: bool) -> list[Row]:
    tensors = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
    return split(tensors, batched, request.request_id())


def _tensors(arrays: Tensors) -> list[Any]:
    return [pb_utils.Tensor(name, array) for name, array in arrays.items()]


def _exec(request: Any, model: str, **how: bool) -> Any:
    """Run a BLS request; that it could not even be sent is an error of ours too."""
    try:
        return request.exec(**how)
    except pb_utils.TritonModelException as error:
        raise _sibling_error(str(error), model) from error


def _read(response: Any, model: str, outputs: Sequence[str]) -> Tensors:
    """The arrays of a sibling's response, or its error as one of ours."""
    if response.has_error():
        raise _sibling_error(response.error().message(), model)
    arrays = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
    missing = [name for name in outputs if name not in arrays]
    if missing:
        raise ServingError(f"Model `{model}` did not answer {missing}.")
    return arrays


def _sibling_error(message: str, model: str) -> PixelisError:
    error = from_wire(message)
    if type(error) is ServingError and any(words in message for words in _NOT_UP):
        return Unavailable(
            f"Model `{model}` is not up.",
            mend="Its process has died, and is soon started again, or it is not loaded. Try again in a moment.",
        )
    return error


def _triton_error(error: PixelisError) -> Any:
    """The error with the status that Triton's frontends translate (400, 404, 503, else 500)."""
    codes = pb_utils.TritonError
    if isinstance(error, NotFound):
        code = codes.NOT_FOUND
    elif isinstance(error, RequestError):
        code = codes.INVALID_ARG
    elif isinstance(error, (Unavailable, DeadlineExceeded)):
        code = codes.UNAVAILABLE
    else:
        code = codes.INTERNAL
    return pb_utils.TritonError(error.wire(), code)
