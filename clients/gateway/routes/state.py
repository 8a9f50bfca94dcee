"""`GET /health`, `GET /metrics`, `GET /stats`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from clients.gateway.desk import Desk
from clients.gateway.health import Health
from pixelis import __version__
from pixelis.errors import ServingError


class Quota(BaseModel):
    """What a caller has of its day."""

    name: str = Field(description="of the key")
    limit: int = Field(description="questions a day, UTC")
    remaining: int
    reset_s: int = Field(description="until the day ends")


class Stats(BaseModel):
    """Body of `GET /stats`: what `/metrics` has, as JSON."""

    version: str
    uptime_s: float
    workers: int = Field(description="processes that serve")
    in_flight: int = Field(description="requests that Triton has from this gateway")
    waiting: dict[str, int] = Field(description="requests that wait for their turn, by class")
    requests: dict[str, dict[str, int]] = Field(description="route -> outcome -> requests so far")
    cached: dict[str, int] = Field(description="`hit`, `miss` -> answers so far")
    quota: Quota | None = Field(
        None, description="of the caller whose key was sent with this request, where it has one"
    )
    gpus: dict[str, dict[str, float]] | None = Field(
        None, description="GPU -> `utilization` (0-1), `memory_used_bytes`, `memory_total_bytes`; absent without one"
    )
    gpus_reason: str | None = Field(None, description="why `gpus` is not known: Triton's metrics do not answer")


def routes(desk: Desk) -> APIRouter:
    """The routes that say how things are."""
    router = APIRouter(tags=["state"])

    @router.get("/health", response_model=Health, responses={503: {"model": Health}}, summary="Is it up?")
    async def health() -> Response:
        """503 while questions are not answered. `degraded` names models that do not take requests."""
        found = await desk.doctor.health()
        return JSONResponse(found.model_dump(), 200 if found.ready else 503)

    @router.get("/metrics", response_class=Response, summary="Prometheus' text")
    async def metrics() -> Response:
        """What the gateway counts; Triton's own are on its metrics port."""
        return Response(desk.metrics.text(await desk.ledger.standing()), media_type="text/plain; version=0.0.4")

    @router.get("/stats", response_model=Stats, response_model_exclude_none=True, summary="The same as JSON")
    async def stats(request: Request) -> Stats:
        """What `/metrics` has, as JSON; and, to whom sends a key, what is left of its quota."""
        standing = await desk.ledger.standing()
        return Stats(
            version=__version__,
            uptime_s=standing.uptime_s,
            workers=len(standing.workers),
            in_flight=standing.in_flight,
            waiting={"urgent": standing.urgent, "ordinary": standing.ordinary},
            requests=desk.metrics.requests(),
            cached=desk.metrics.cached(),
            quota=await _quota(desk, request),
            **await _gpus(desk),
        )

    return router


async def _quota(desk: Desk, request: Request) -> Quota | None:
    if desk.keys is None or "authorization" not in request.headers:
        return None
    name, day = await desk.quota(request)
    return None if day is None else Quota(name=name, limit=int(day.limit), remaining=day.remaining, reset_s=day.reset_s)


async def _gpus(desk: Desk) -> dict[str, Any]:
    """What Triton says of its GPUs, or why it says nothing; neither where there is none."""
    try:
        samples = await desk.upstream.client.metrics()
    except ServingError as error:
        return {"gpus_reason": str(error)}
    found: dict[str, dict[str, float]] = {}
    for name in ("utilization", "memory_used_bytes", "memory_total_bytes"):
        prefix = f'nv_gpu_{name}{{gpu_uuid="'
        for sample, value in samples.items():
            if sample.startswith(prefix):
                found.setdefault(sample.removeprefix(prefix).partition('"')[0], {})[name] = value
    return {"gpus": found or None}
