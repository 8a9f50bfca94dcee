"""Server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from clients.gateway.answers import detail
from clients.gateway.ledger import Ledger
from clients.gateway.requests import ErrorBody
from pixelis.errors import PixelisError
from pixelis.schema import Event

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def first(events: AsyncIterator[Event]) -> Event:
    """The first event of a stream, whose error is one of the request."""
    return await anext(events)


async def written(
    begun: Event, events: AsyncIterator[Event], request_id: str, failed: Callable[[BaseException], None]
) -> AsyncIterator[bytes]:
    """Each event as `id: NUMBER`, `event: NAME` and `data: JSON`; an error is the last one.

    Args:
        begun: the first event, which was waited for so that an error before it has its own status.
        events: those that follow.
        request_id: the request's name.
        failed: told what it ended with, where that is no answer.
    """
    number = 1
    try:
        async with aclosing(events):  # type: ignore[type-var]
            yield numbered(number, said(begun))
            async for event in events:
                number += 1
                yield numbered(number, said(event))
    except PixelisError as error:
        failed(error)
        yield numbered(number + 1, fault(error, request_id))
    except BaseException as error:
        failed(error)
        raise


async def followed(ledger: Ledger, log: int, after: int, request_id: str) -> AsyncIterator[bytes]:
    """The events of a log after the `after`th, and those that are still to come, in the same form."""
    number, ended = after, False
    try:
        while not ended:
            page = await ledger.read(log, number)
            ended = page.ended
            for one in page.events:
                number += 1
                yield numbered(number, one)
    except PixelisError as error:
        yield f"{fault(error, request_id)}\n".encode()  # none of the request's own, so it has no number


def said(event: Event) -> str:
    """An event without its number, as it is recorded."""
    return f"event: {event.event}\ndata: {event.model_dump_json(exclude_defaults=True)}\n"


def fault(error: PixelisError, request_id: str) -> str:
    """The last event of a request that failed."""
    body = ErrorBody(error=detail(error, request_id))
    return f"event: error\ndata: {body.model_dump_json()}\n"


def numbered(number: int, event: str) -> bytes:
    """An event as it is sent."""
    return f"id: {number}\n{event}\n".encode()
