"""The synchronous client."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, TypeVar

from numpy.typing import ArrayLike

from clients import wire
from clients.metrics import read_metrics
from clients.rest import HttpTransport
from clients.retry import Retry, after
from clients.rpc import GrpcTransport
from clients.wire import Call, Picture
from pixelis.errors import InvalidRequest, NotFound, PixelisError
from pixelis.schema import (
    Event,
    GroupResult,
    KnnCommand,
    KnnResult,
    Operation,
    OperationResult,
    Options,
    PipelineResult,
)
from pixelis.settings import settings

T = TypeVar("T")
Protocol = Literal["grpc", "http"]

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


def address(url: str | None, protocol: Protocol) -> str:
    """`host:port` of `url`, its scheme left out; without one, where the settings say that a server is.

    Raises:
        InvalidRequest: it is not `host:port`.
    """
    if url is not None:
        found = url.split("://", 1)[-1].rstrip("/")
        if not _ADDRESS.fullmatch(found) or int(found.rpartition(":")[2]) > 65535:
            raise InvalidRequest(f"{url!r} is not host:port.", mend="For instance localhost:8001.")
        return found
    server = settings().server
    return f"{server.host}:{server.grpc_port if protocol == 'grpc' else server.http_port}"


def metrics_address(url: str, metrics_url: str | None) -> str:
    """`host:port` of the metrics: as given, else the configured port on the server's host."""
    return metrics_url or f"{url.rsplit(':', 1)[0]}:{settings().server.metrics_port}"


class PixelisClient:
    """Asks a running server. Safe to share between threads.

        with PixelisClient() as client:
            print(client.ask("label.png", "What is written on the red label?").answer)

    Every method raises `pixelis.errors`: `Unavailable` where no server answers, `DeadlineExceeded` where it is late,
    and what the server said otherwise.

    Args:
        url: `host:port`; none = the settings' own server.
        protocol: `grpc`, or `http` (binary tensors, and server-sent events for streams); the answers are the same.
        metrics_url: `host:port` of the metrics; none = the settings' port on the same host.
        retries: how often what finds the server not up or too busy is asked again, with pauses, within the request's
            time; only what changes nothing, and no stream.
    """

    def __init__(
        self,
        url: str | None = None,
        protocol: Protocol = "grpc",
        metrics_url: str | None = None,
        *,
        retries: int = 0,
    ) -> None:
        self._retry = Retry(retries)
        self.url = address(url, protocol)
        self._metrics_url = metrics_address(self.url, metrics_url)
        self._transport = GrpcTransport(self.url) if protocol == "grpc" else HttpTransport(self.url)

    def ask(
        self,
        images: Picture | Sequence[Picture],
        question: str,
        options: Options | None = None,
        *,
        request_id: str = "",
        **changes: Any,
    ) -> PipelineResult:
        """The answer to a question about pictures, with its trajectory, reward and provenance.

        Args:
            images: encoded bytes, a path or a PIL picture; or several, or frames in order.
            question: what to ask.
            options: the request's options.
            request_id: a name for it; none = the server makes one.
            **changes: single options, such as `k=0` or `timeout_s=10`.
        """
        asked = wire.options(options, changes)
        return self._infer(wire.ask(wire.encoded(images), question, asked, request_id))

    def stream(
        self,
        images: Picture | Sequence[Picture],
        question: str,
        options: Options | None = None,
        *,
        request_id: str = "",
        **changes: Any,
    ) -> Iterator[Event]:
        """The same question, answered step by step; the last event carries the same result. Closing it cancels."""
        asked = wire.options(options, changes)
        call = wire.stream(wire.encoded(images), question, asked, request_id)
        return self._events(call)

    def ops(
        self,
        images: Picture | Sequence[Picture],
        operation: str,
        arguments: dict[str, Any] | None = None,
        *,
        image_index: int = 0,
    ) -> OperationResult:
        """One visual operation; a bad argument is the `error` of the result."""
        asked = wire.operation(operation, arguments or {}, image_index)
        return self._infer(wire.operate(wire.encoded(images), asked))

    def group(
        self, images: Picture | Sequence[Picture], operations: Sequence[Operation], *, enough: float | None = None
    ) -> GroupResult:
        """Several visual operations on the same images, side by side; what they share is computed once.

        Args:
            images: as for `ops`.
            operations: 1 to 64.
            enough: confidence (0-1) from which on operations that have not begun are left out.
        """
        asked = wire.group(operations, enough)
        return self._infer(wire.operate_group(wire.encoded(images), asked))

    def search(self, key: ArrayLike, k: int = 5, *, tenant: str = "") -> KnnResult:
        """The `k` nearest experiences of a retrieval key `[1664]` that `tenant` finds; changes nothing."""
        return self._infer(wire.search(key, k, tenant))

    def knn(self, command: KnnCommand, key: ArrayLike | None = None) -> KnnResult:
        """Any command of `knn`."""
        return self._infer(wire.knn(command, key))

    def feedback(
        self, request_id: str, *, correct: bool | None = None, answer: str | None = None, tenant: str = ""
    ) -> KnnResult:
        """Say whether the answer to a request was right, or what is right; `judgement` in the result says what changed.

        Args:
            request_id: of a request asked with `read_only=False`.
            correct: whether the answer that it was given is right.
            answer: instead, the right one.
            tenant: whose request it was.
        """
        return self._infer(wire.feedback(request_id, correct, answer, tenant))

    def stats(self) -> KnnResult:
        """How many experiences there are, and how they are indexed."""
        return self.knn(KnnCommand(command="stats"))

    def is_ready(self, model: str | None = None) -> bool:
        """Whether the server, or one of its models, takes requests."""
        return self._transport.ready(model)

    def checkpoints(self) -> list[str]:
        """Names that the option `model` takes: checkpoints that were published beside the default one."""
        call = wire.residency()
        try:
            with closing(self._transport.stream(call)) as answers:
                return [name for tensors in answers for name in call.parse(tensors)]
        except NotFound:  # a server of one checkpoint has no such model
            return []

    def metrics(self) -> dict[str, float]:
        """Every sample of the server's Prometheus metrics: `name{labels}` -> value."""
        return read_metrics(self._metrics_url)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> PixelisClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _infer(self, call: Call[T]) -> T:
        pauses, end = self._retry.pauses(), time.monotonic() + call.timeout_s
        while True:
            left = end - time.monotonic()
            try:
                return call.parse(self._transport.infer(replace(call, timeout_s=left)))
            except PixelisError as error:
                pause = next(pauses, None)
                wait = None if pause is None else after(error, call.safe, pause, end - time.monotonic())
                if wait is None:
                    raise
                time.sleep(wait)

    def _events(self, call: Call[T]) -> Iterator[T]:
        with closing(self._transport.stream(call)) as answers:
            for tensors in answers:
                yield call.parse(tensors)
