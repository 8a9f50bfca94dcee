"""The ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from clients.aio import AsyncPixelisClient
from clients.gateway.allowance import EXPOSED
from clients.gateway.answers import REQUEST_ID, answer, outcome
from clients.gateway.background import Background
from clients.gateway.desk import Desk
from clients.gateway.documented import Documented
from clients.gateway.fetching import Fetcher
from clients.gateway.health import Doctor
from clients.gateway.keys import Keys
from clients.gateway.ledger import Ledger
from clients.gateway.limits import Bounded
from clients.gateway.metrics import Metrics
from clients.gateway.openapi import ERRORS
from clients.gateway.routes import chat, events, infer, page, state
from clients.gateway.split import Split
from clients.gateway.straight import Straight
from clients.gateway.upstream import Upstream
from clients.gateway.watched import Watched
from pixelis import __version__
from pixelis.errors import InvalidRequest, NotFound, PixelisError
from pixelis.gateway_config import Gateway
from pixelis.settings import Limits

CLOSED = 499
"""As nginx calls it: the client has gone; nobody reads it."""


def application(config: Gateway, limits: Limits, ledger: Ledger, metrics: Metrics) -> FastAPI:
    """The gateway.

    Args:
        config: its settings.
        limits: of what a request carries.
        ledger: what requests are counted against.
        metrics: what is counted.

    Raises:
        SetupError: the API keys cannot be read.
    """
    client = AsyncPixelisClient(config.triton, metrics_url=config.triton_metrics)
    canary = None if config.canary is None else AsyncPixelisClient(config.canary)
    split = Split(client, canary, config.canary_share, config.canary_file)
    fetcher = Fetcher(config, limits)
    desk = Desk(
        config=config,
        limits=limits,
        keys=Keys(config.keys) if config.keys is not None else None,
        ledger=ledger,
        upstream=Upstream(split, ledger, metrics),
        metrics=metrics,
        doctor=Doctor(client),
        fetcher=fetcher,
        background=Background(config.drain_s),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await ledger.open()
        yield
        await desk.background.close()
        await split.close()
        await fetcher.close()
        await ledger.close()

    app = Documented(
        title="Pixelis",
        version=__version__,
        summary="Questions about images, answered by an agent that acts on their pixels.",
        responses=ERRORS,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(infer.routes(desk))
    app.include_router(chat.routes(desk))
    app.include_router(events.routes(desk))
    app.include_router(state.routes(desk))
    app.include_router(page.routes())
    app.mount("/page", page.Page())
    app.add_middleware(Straight, path=infer.PATH, function=infer.asking(desk), refused=_refused)
    app.add_middleware(Bounded, headers=config.header_bytes, most=config.body_bytes, timeout_s=config.body_timeout_s)
    if config.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID", REQUEST_ID],
            expose_headers=[REQUEST_ID, "Retry-After", *EXPOSED],
        )
    app.add_middleware(Watched, metrics=metrics)  # outermost: what the others refuse is seen too
    for kind in Straight.REFUSALS:
        app.add_exception_handler(kind, _refused)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    """The answer to what a request raised; not `def`, which Starlette would send to a thread and back."""
    if isinstance(error, HTTPException):
        return _unknown(request, error)
    request.state.outcome = outcome(error)
    if isinstance(error, PixelisError):
        return answer(error, request.state.request_id)
    return Response(status_code=CLOSED)


def _unknown(request: Request, error: HTTPException) -> Response:
    """What Starlette refuses by itself: paths, methods, malformed forms."""
    if error.status_code == 404:
        refusal: PixelisError = NotFound("There is no such path.", mend="`/openapi.json` lists them.")
    else:
        refusal = InvalidRequest(f"{error.detail}.")
    request.state.outcome = outcome(refusal)
    response = answer(refusal, request.state.request_id)
    response.status_code = error.status_code
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response
