"""Server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from clients.gateway.answers import detail
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
    """Each event as `event: NAME` and `data: JSON`; an error is the last one.

    Args:
        begun: the first event, which was waited for so that an error before it has its own status.
        events: those that follow.
        request_id: the request's name.
        failed: told what it ended with, where that is no answer.
    """
    try:
        async with aclosing(events):  # type: ignore[type-var]
            yield _event(begun)
            async for event in events:
                yield _event(event)
    except PixelisError as error:
        failed(error)
        body = ErrorBody(error=detail(error, request_id))
        yield f"event: error\ndata: {body.model_dump_json()}\n\n".encode()
    except BaseException as error:
        failed(error)
        raise


def _event(event: Event) -> bytes:
    return f"event: {event.event}\ndata: {event.model_dump_json(exclude_defaults=True)}\n\n".encode()
