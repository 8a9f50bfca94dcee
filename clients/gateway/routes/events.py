"""`GET /v1/events/{request_id}`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from clients.gateway import events
from clients.gateway.desk import Desk
from clients.gateway.openapi import FOLLOWED
from pixelis.errors import InvalidRequest

LAST = "Last-Event-ID"
DIGITS = 9
"""No request has so many events."""
_HEADER: dict[str, Any] = {
    "name": LAST,
    "in": "header",
    "required": False,
    "description": "the number of the last event that was received; those after it are sent",
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**DIGITS - 1},
}


def routes(desk: Desk) -> APIRouter:
    """The route of events."""
    router = APIRouter(prefix="/v1", tags=["questions"])

    @router.get(
        "/events/{request_id}",
        response_class=StreamingResponse,
        responses=FOLLOWED,
        openapi_extra={"parameters": [_HEADER]},
        summary="A streamed request's events",
    )
    async def followed(request: Request, request_id: str) -> Response:
        """What has happened so far, and then what happens. 204 where nothing came after `Last-Event-ID`, nor will."""
        caller = await desk.caller(request)
        after = _after(request.headers.get(LAST, "0"))
        log, count, ended = await desk.ledger.find(caller.name, request_id)
        if ended and after >= count:
            return Response(status_code=204)
        return StreamingResponse(
            events.followed(desk.ledger, log, after, request_id), media_type=events.MEDIA_TYPE, headers=events.HEADERS
        )

    return router


def _after(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS):
        raise InvalidRequest(f"`{LAST}` is no number of an event.", mend="Send the last `id` that was received.")
    return int(text)
