"""A name for every request, its time, and an answer to what nobody foresaw."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clients.gateway.allowance import Allowance
from clients.gateway.answers import REQUEST_ID, answer, outcome
from clients.gateway.metrics import Metrics
from clients.gateway.requests import named
from pixelis.errors import PixelisError, ServingError

log = logging.getLogger(__name__)


class Watched:
    """ASGI middleware around everything else.

    Inside, `request.state.request_id` names the request, `request.state.outcome` is what metrics call its end, and
    `request.state.allowance` what is left of its caller's limits.

    Args:
        app: what comes behind.
        metrics: told of every request when its last byte has gone.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, started = time.perf_counter(), False
        state = scope["state"] = {**scope.get("state", {}), **_state()}

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                name = (REQUEST_ID.lower().encode(), state["request_id"].encode())
                message["headers"] = [one for one in message["headers"] if one[0] != name[0]] + [name]
                left = state["allowance"].headers().items()
                message["headers"] += [(key.lower().encode(), value.encode()) for key, value in left]
            await send(message)

        try:
            state["request_id"] = named(dict(scope["headers"]).get(REQUEST_ID.lower().encode())) or state["request_id"]
            await self._app(scope, receive, sending)
        except Exception as error:
            known = isinstance(error, PixelisError)
            refusal = error if known else ServingError(f"The gateway failed: {type(error).__name__}.")
            state["outcome"] = outcome(refusal)
            if not known:  # a defect of ours: said to the log, not to the caller
                log.exception("request %s", state["request_id"])
            if started:
                raise
            assert isinstance(refusal, PixelisError)
            await answer(refusal, state["request_id"], close=True)(scope, receive, sending)
        finally:
            path = getattr(scope.get("route"), "path", "unknown")
            self._metrics.seconds.labels(path, state["outcome"]).observe(time.perf_counter() - begun)


def _state() -> dict[str, Any]:
    return {"request_id": uuid.uuid4().hex, "outcome": "ok", "allowance": Allowance()}
