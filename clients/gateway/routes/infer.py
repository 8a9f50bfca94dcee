"""`POST /infer`, `POST /batch_infer`, `POST /feedback`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from clients.gateway import events
from clients.gateway.answers import detail, outcome, status
from clients.gateway.desk import Asked, Desk
from clients.gateway.fetching import Purse
from clients.gateway.openapi import STREAMED, taking
from clients.gateway.requests import BatchAnswer, BatchMember, BatchRequest, FeedbackRequest, InferRequest, validated
from clients.gateway.upstream import Caller, while_there
from pixelis.errors import InvalidRequest, LimitExceeded, PixelisError
from pixelis.schema import KnnResult, PipelineResult

PATH = "/infer"


def asking(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """The function of `POST /infer`."""

    async def infer(request: Request) -> Response:
        """A question about one or several images, answered whole or, with `stream`, step by step."""
        caller = await desk.caller(request, questions=1)
        asked = await desk.asked(request)
        request.state.request_id = asked.request_id
        if asked.stream:
            return await _streamed(desk, request, caller, asked)
        work = desk.upstream.relay(caller, asked.images, asked.question, asked.options, asked.request_id)
        return Response(await while_there(request, work), media_type="application/json")

    return infer


def routes(desk: Desk) -> APIRouter:
    """The routes of questions."""
    router = APIRouter(tags=["questions"])
    router.post(
        PATH,
        response_model=PipelineResult,
        responses=STREAMED,
        openapi_extra=taking(InferRequest, form=True),
        summary="Ask",
    )(asking(desk))

    @router.post(
        "/batch_infer", response_model=BatchAnswer, openapi_extra=taking(BatchRequest), summary="Ask several at once"
    )
    async def batch_infer(request: Request) -> Response:
        """Several questions; each has its own result or error, in the order of the requests."""
        said = validated(BatchRequest, await desk.json(request), "The batch").requests
        if len(said) > desk.config.batch:
            raise LimitExceeded(
                f"{len(said)} requests in one batch; {desk.config.batch} are taken.", mend="Send several batches."
            )
        caller = await desk.caller(request, len(said), questions=len(said))
        desk.metrics.members.observe(len(said))
        name = request.state.request_id
        purse = desk.purse()
        members = (_member(desk, caller, one, f"{name}-{number}", purse) for number, one in enumerate(said))
        found = await while_there(request, _together(members))
        return JSONResponse(BatchAnswer(answers=found).model_dump(mode="json", exclude_none=True))

    @router.post(
        "/feedback", response_model=KnnResult, openapi_extra=taking(FeedbackRequest), summary="Say what is right"
    )
    async def feedback(request: Request) -> Response:
        """Whether the answer to a request was right, or what is right."""
        caller = await desk.caller(request)
        said = validated(FeedbackRequest, await desk.json(request), "The feedback")
        result = await while_there(request, desk.upstream.feedback(caller, said.request_id, said.correct, said.answer))
        return Response(result.model_dump_json(), media_type="application/json")

    return router


async def _together(members: Any) -> list[BatchMember]:
    return list(await asyncio.gather(*members))


async def _member(desk: Desk, caller: Caller, said: dict[str, Any], name: str, purse: Purse) -> BatchMember:
    try:
        checked = desk.checked(said, name)
        name = checked.request_id
        if checked.stream:
            raise InvalidRequest("A member of a batch is not streamed.", mend="Leave `stream` out, or use `/infer`.")
        asked = await desk.fetched(checked, purse)
        work = desk.upstream.ask(caller, asked.images, asked.question, asked.options, asked.request_id)
        return BatchMember(status=200, result=await work)
    except PixelisError as error:
        return BatchMember(status=status(error), error=detail(error, name))


async def _streamed(desk: Desk, request: Request, caller: Caller, asked: Asked[bytes]) -> Response:
    stream = desk.upstream.stream(caller, asked.images, asked.question, asked.options, asked.request_id)
    if asked.background:
        await desk.background.begun(request, stream)
        log, _, _ = await desk.ledger.find(caller.name, asked.request_id)
        followed = events.followed(desk.ledger, log, 0, asked.request_id)
        return StreamingResponse(followed, media_type=events.MEDIA_TYPE, headers=events.HEADERS)
    first = await while_there(request, events.first(stream))

    def failed(error: BaseException) -> None:
        request.state.outcome = outcome(error)

    return StreamingResponse(
        events.written(first, stream, asked.request_id, failed),
        media_type=events.MEDIA_TYPE,
        headers=events.HEADERS,
    )
