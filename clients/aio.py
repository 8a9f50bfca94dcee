"""The asyncio client: the synchronous one's methods, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, TypeVar

from numpy.typing import ArrayLike

from clients import wire
from clients.answer import Answer
from clients.connection import Connection, Protocol
from clients.metrics import read_metrics
from clients.rest import AioHttpTransport
from clients.rpc import AioGrpcTransport
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


class AsyncPixelisClient(Connection):
    """Asks a running server from asyncio; see `PixelisClient` for what the methods take, return and raise.

        async with AsyncPixelisClient() as client:
            answers = await asyncio.gather(*(client.ask(image, question) for image in images))

    Arguments: see `Connection`.
    """

    def _connect(self, protocol: Protocol) -> None:
        self._transport = (
            AioGrpcTransport(self.url, share=self._share) if protocol == "grpc" else AioHttpTransport(self.url)
        )

    async def ask(
        self,
        images: Picture | Sequence[Picture],
        question: str,
        options: Options | None = None,
        *,
        request_id: str = "",
        **changes: Any,
    ) -> Answer:
        """The answer to a question about pictures."""
        asked = wire.options(options, changes)
        return await self.infer(wire.ask(wire.encoded(images), question, asked, request_id))

    async def stream(
        self,
        images: Picture | Sequence[Picture],
        question: str,
        options: Options | None = None,
        *,
        request_id: str = "",
        **changes: Any,
    ) -> AsyncIterator[Event]:
        """The same question, answered step by step. Closing the iterator cancels the request."""
        asked = wire.options(options, changes)
        call = wire.stream(wire.encoded(images), question, asked, request_id)
        async with aclosing(self._transport.stream(call)) as answers:
            async for tensors in answers:
                yield call.parse(tensors)

    async def ops(
        self,
        images: Picture | Sequence[Picture],
        operation: str,
        arguments: dict[str, Any] | None = None,
        *,
        image_index: int = 0,
    ) -> OperationResult:
        """One visual operation; a bad argument is the `error` of the result."""
        asked = wire.operation(operation, arguments or {}, image_index)
        return await self.infer(wire.operate(wire.encoded(images), asked))

    async def group(
        self, images: Picture | Sequence[Picture], operations: Sequence[Operation], *, enough: float | None = None
    ) -> GroupResult:
        """Several visual operations on the same images, side by side; what they share is computed once.

        Args:
            images: as for `ops`.
            operations: 1 to 64.
            enough: confidence (0-1) from which on operations that have not begun are left out.
        """
        asked = wire.group(operations, enough)
        return await self.infer(wire.operate_group(wire.encoded(images), asked))

    async def search(self, key: ArrayLike, k: int = 5, *, tenant: str = "") -> KnnResult:
        """The `k` nearest experiences of a retrieval key `[1664]` that `tenant` finds; changes nothing."""
        return await self.infer(wire.search(key, k, tenant))

    async def knn(self, command: KnnCommand, key: ArrayLike | None = None) -> KnnResult:
        """Any command of `knn`."""
        return await self.infer(wire.knn(command, key))

    async def feedback(
        self, request_id: str, *, correct: bool | None = None, answer: str | None = None, tenant: str = ""
    ) -> KnnResult:
        """Say whether the answer to a request was right, or what is right."""
        return await self.infer(wire.feedback(request_id, correct, answer, tenant))

    async def stats(self) -> KnnResult:
        """How many experiences there are, and how they are indexed."""
        return await self.knn(KnnCommand(command="stats"))

    async def is_ready(self, model: str | None = None) -> bool:
        """Whether the server, or one of its models, takes requests."""
        return await self._transport.ready(model)

    async def checkpoints(self) -> list[str]:
        """Names that the option `model` takes: checkpoints that were published beside the default one."""
        call = wire.residency()
        try:
            async with aclosing(self._transport.stream(call)) as answers:
                return [name async for tensors in answers for name in call.parse(tensors)]
        except NotFound:  # a server of one checkpoint has no such model
            return []

    async def metrics(self) -> dict[str, float]:
        """Every sample of the server's Prometheus metrics: `name{labels}` -> value."""
        return await asyncio.to_thread(read_metrics, self._metrics_url)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncPixelisClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def infer(self, call: Call[T]) -> T:
        """Any call that `clients.wire` makes, asked again where it may be."""
        tries = self._tries(call)
        while True:
            try:
                return call.parse(await self._transport.infer(tries.next()))
            except PixelisError as error:
                await asyncio.sleep(tries.pause_s(error))
