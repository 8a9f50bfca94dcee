"""The way of the one path that counts: `POST /infer`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pixelis.errors import PixelisError

Function = Callable[[Request], Awaitable[Response]]
Refused = Callable[[Request, Exception], Awaitable[Response]]


class Straight:
    """ASGI middleware: `POST path` goes to its function; everything else, and what documents it, to FastAPI's routes.

    FastAPI would match it again, resolve dependencies that there are none of, and read a body that the function reads
    within bounds: a fifth of a millisecond of each request.

    Args:
        app: what comes behind.
        path: as it is routed.
        function: takes the request, makes the response.
        refused: answers what the function raises of `REFUSALS`.
    """

    REFUSALS = (PixelisError, HTTPException, ClientDisconnect)

    def __init__(self, app: ASGIApp, path: str, function: Function, refused: Refused) -> None:
        self._app, self.path, self._function, self._refused = app, path, function, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] != self.path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"] = self  # whose `path` names the request in metrics
        request = Request(scope, receive, send)
        try:
            response = await self._function(request)
        except self.REFUSALS as error:
            response = await self._refused(request, error)
        await response(scope, receive, send)
