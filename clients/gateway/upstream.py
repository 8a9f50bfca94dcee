"""Triton, as the routes see it: admitted, within the deadline, and left when the client leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from clients import wire
from clients.gateway.broken_off import BrokenOff
from clients.gateway.events import fault, said
from clients.gateway.ledger import Ledger
from clients.gateway.metrics import Metrics
from clients.gateway.split import Side, Split
from clients.wire import Call
from pixelis.errors import DeadlineExceeded, PixelisError, ServingError, Unavailable
from pixelis.schema import Event, KnnResult, Options, PipelineResult

T = TypeVar("T")

SHORT_S = 0.05
"""Waiting for a turn that is not worth taking off a request's time."""
FAILED = ServingError("The gateway failed.")
DIED = Unavailable("The process that asked has died.", mend="Ask again.")
LEFT = Unavailable("The request was given up: its client or the gateway has gone.", mend="Ask again.")
"""Last events of requests that neither were answered nor failed."""
LEAST_S = 1.0
"""The least time that the pipeline takes a request for."""


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        name: as it is counted and waits.
        tenant: whose experiences it finds and changes; empty = the shared ones.
    """

    name: str
    tenant: str = ""


class Upstream:
    """The pipeline behind the queue. Whatever goes to Triton goes as the caller's tenant.

    Args:
        split: which Triton has whom.
        ledger: whose turn it is.
        metrics: told what came from a cache.
    """

    def __init__(self, split: Split, ledger: Ledger, metrics: Metrics) -> None:
        self.client, self._split = split.stable.client, split
        self._ledger, self._metrics = ledger, metrics

    async def ask(
        self, caller: Caller, images: Sequence[bytes], question: str, options: Options, request_id: str
    ) -> PipelineResult:
        """One answer. Raises what the client and the queue raise."""
        async with self._turn(caller, options) as asked:
            result = await self._sent(caller, wire.ask(images, question, asked, request_id))
        self._metrics.answered(result.from_cache)
        return result

    async def relay(
        self, caller: Caller, images: Sequence[bytes], question: str, options: Options, request_id: str
    ) -> bytes:
        """The same as JSON, passed on as the server wrote it: read and written again it would be the same bytes."""
        async with self._turn(caller, options) as asked:
            found = await self._sent(caller, wire.relay(images, question, asked, request_id))
        self._metrics.answered(found.from_cache)
        return found.text

    async def _sent(self, caller: Caller, call: Call[T]) -> T:
        """The answer of the caller's Triton; of the stable one where the canary does not answer a safe question."""
        side = self._split.of(caller.name)
        try:
            with self._timed(side):
                return await side.client.infer(call)
        except Unavailable:
            if side is self._split.stable or not call.safe:
                raise
        with self._timed(self._split.stable):
            return await self._split.stable.client.infer(call)

    def _timed(self, side: Side) -> AbstractContextManager[None]:
        """Tells the two Tritons apart in the metrics, where there are two."""
        return self._metrics.side(side.name) if self._split.divided else nullcontext()

    @asynccontextmanager
    async def _turn(self, caller: Caller, options: Options) -> AsyncIterator[Options]:
        """A turn at Triton, and what is asked there."""
        deadline = time.monotonic() + options.timeout_s
        async with self._ledger.turn(caller.name, options.priority, deadline):
            yield _of(caller, within(options, deadline))

    async def stream(
        self, caller: Caller, images: Sequence[bytes], question: str, options: Options, request_id: str
    ) -> AsyncIterator[Event]:
        """The same, step by step; closing it cancels."""
        async with (
            self._recorded(caller.name, request_id) as record,
            self._turn(caller, options) as asked,
            self._streamed(caller, images, question, asked, request_id) as events,
        ):
            async for event in events:
                if event.result is not None:
                    self._metrics.answered(event.result.from_cache)
                record(event)
                yield event

    @asynccontextmanager
    async def _streamed(
        self, caller: Caller, images: Sequence[bytes], question: str, asked: Options, request_id: str
    ) -> AsyncIterator[AsyncIterator[Event]]:
        side = self._split.of(caller.name)
        stream = side.client.stream(images, question, asked, request_id=request_id)
        with self._timed(side):
            async with aclosing(stream) as events:  # type: ignore[type-var]
                yield events

    @asynccontextmanager
    async def _recorded(self, caller: str, request_id: str) -> AsyncIterator[Callable[[Event], None]]:
        """Keeps the events of a request, and how it ended, for whoever follows it."""
        log = self._ledger.begin(caller, request_id, fault(DIED, request_id))
        try:
            yield lambda event: self._ledger.record(log, said(event))
        except PixelisError as error:
            self._ledger.record(log, fault(error, request_id))
            raise
        except BaseException as error:
            failed = isinstance(error, Exception)  # a defect of ours, which the log says
            self._ledger.record(log, fault(FAILED if failed else LEFT, request_id))
            raise
        finally:
            self._ledger.end(log)

    async def feedback(self, caller: Caller, request_id: str, correct: bool | None, answer: str | None) -> KnnResult:
        """What the caller's experiences make of it."""
        client = self._split.of(caller.name).client  # which knows the request that it is about
        return await client.feedback(request_id, correct=correct, answer=answer, tenant=caller.tenant)


def _of(caller: Caller, options: Options) -> Options:
    """`options` as the caller's; what is nobody's own is left unsaid, as always."""
    if caller.tenant == options.tenant:
        return options
    return options.model_copy(update={"tenant": caller.tenant})


def within(options: Options, deadline: float) -> Options:
    """`options` with the time that is left."""
    left = deadline - time.monotonic()
    if left < LEAST_S:
        if options.timeout_s - left < SHORT_S:  # it asked for no more
            return options
        raise DeadlineExceeded("The request's time ran out before its turn.", mend="Raise `timeout_s`.")
    return options if options.timeout_s - left < SHORT_S else options.model_copy(update={"timeout_s": left})


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """`work`, cancelled when the client goes. Its body must have been read.

    Raises:
        ClientDisconnect: it has gone.
    """

    async def watch(left: BrokenOff) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left.now()

    with BrokenOff(ClientDisconnect()) as left:
        watching = asyncio.ensure_future(watch(left))
        try:
            return await work
        finally:
            watching.cancel()
