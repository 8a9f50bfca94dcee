"""Models that answer: once a request, whatever is batched together, or side by side."""

from __future__ import annotations

import json
import queue
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from pixelis import integrity
from pixelis.errors import (
    DeadlineExceeded,
    IntegrityError,
    NotFound,
    PixelisError,
    RequestError,
    ServingError,
    Unavailable,
)
from pixelis.published import MANIFEST
from pixelis.settings import settings
from python_backends.adapter.caller import Caller
from python_backends.adapter.tensors import decode, sender_of, tensors_of
from python_backends.deadlines import abandoned, run_all
from python_backends.metrics import Metrics
from python_backends.rows import Contract, Row, Tensors
from python_backends.tracing import NOBODY, recorder
from python_backends.tracing.switch import FOLDER as TRACES


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
            return pb_utils.InferenceResponse(output_tensors=tensors_of(self.contract.stack(good)))
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
        of = [{"span": sender_of(request), "request": request.request_id()} for request in requests if recorder.on]
        with recorder.span(self.name, "execute", NOBODY, of=of):
            responses = self._executed(requests)
        self.metrics.observe("pixelis_stage_seconds", time.perf_counter() - started)
        self.report_abandoned()
        return responses

    def _executed(self, requests: Sequence[Any]) -> list[Any]:
        with recorder.span("read"):
            decoded = [decode(request, self.contract.batched) for request in requests]
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
            found = decode(request, self.contract.batched)
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
            deadlines, sender = [self.until(row) for row in found], sender_of(request)
            done.put((request, run_all([partial(self._row, row, sender) for row in found], deadlines, self.name)))
        except BaseException as error:  # becomes this request's answer; a request without one would hang
            done.put((request, [error]))

    def _row(self, row: Row, sender: str) -> Tensors:
        with recorder.span(self.name, "row", sender, request=row.request_id):
            return self.one(row)


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
