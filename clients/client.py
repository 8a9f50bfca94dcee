"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, TypeVar

from numpy.typing import ArrayLike

from clients import wire
from clients.answer import Answer
from clients.connection import Connection, Protocol
from clients.metrics import read_metrics
from clients.rest import HttpTransport
from clients.rpc import GrpcTransport
from clients.wire import Call, Picture
from pixelis.errors import NotFound, PixelisError
from pixelis.schema import (
    Event,
    GroupResult,
    KnnCommand,
    KnnResult,
    Operation,
    OperationResult,
    Options,
)

T = TypeVar("T")


class PixelisClient(Connection):
    """Asks a running server. Safe to share between threads.

        with PixelisClient() as client:
            print(client.ask("label.png", "What is written on the red label?").answer)

    Every method raises `pixelis.errors`: `Unavailable` where no server answers, `DeadlineExceeded` where it is late,
    and what the server said otherwise.

    Arguments: see `Connection`.
    """

    def _connect(self, protocol: Protocol) -> None:
        self._transport = GrpcTransport(self.url, share=self._share) if protocol == "grpc" else HttpTransport(self.url)

    def ask(
        self,
        images: Picture | Sequence[Picture],
        question: str,
        options: Options | None = None,
        *,
        request_id: str = "",
        **changes: Any,
    ) -> Answer:
        """The answer to a question about pictures, with its trajectory, reward and provenance; a notebook shows it.

        Args:
            images: encoded bytes, a path or a PIL picture; or several, or frames in order.
            question: what to ask.
            options: the request's options.
            request_id: a name for it; none = the server makes one.
            **changes: single options, such as `k=0` or `timeout_s=10`.
        """
        asked = wire.options(options, changes)
        return self.infer(wire.ask(wire.encoded(images), question, asked, request_id))

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
        return self.infer(wire.operate(wire.encoded(images), asked))

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
        return self.infer(wire.operate_group(wire.encoded(images), asked))

    def search(self, key: ArrayLike, k: int = 5, *, tenant: str = "") -> KnnResult:
        """The `k` nearest experiences of a retrieval key `[1664]` that `tenant` finds; changes nothing."""
        return self.infer(wire.search(key, k, tenant))

    def knn(self, command: KnnCommand, key: ArrayLike | None = None) -> KnnResult:
        """Any command of `knn`."""
        return self.infer(wire.knn(command, key))

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
        return self.infer(wire.feedback(request_id, correct, answer, tenant))

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

    def infer(self, call: Call[T]) -> T:
        """Any call that `clients.wire` makes, asked again where it may be."""
        tries = self._tries(call)
        while True:
            try:
                return call.parse(self._transport.infer(tries.next()))
            except PixelisError as error:
                time.sleep(tries.pause_s(error))

    def _events(self, call: Call[T]) -> Iterator[T]:
        with closing(self._transport.stream(call)) as answers:
            for tensors in answers:
                yield call.parse(tensors)
