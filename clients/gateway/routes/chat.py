"""`POST /v1/chat/completions`, `GET /v1/models`."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from clients.gateway import chat, events
from clients.gateway.answers import outcome
from clients.gateway.chunks import Chunks
from clients.gateway.desk import Desk
from clients.gateway.openapi import STREAMED, taking
from clients.gateway.requests import validated
from clients.gateway.upstream import while_there


def routes(desk: Desk) -> APIRouter:
    """The routes that OpenAI's clients know."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"])

    @router.post(
        "/chat/completions",
        response_model=chat.Completion,
        responses=STREAMED,
        openapi_extra=taking(chat.ChatRequest),
        summary="Ask, in OpenAI's form",
    )
    async def completions(request: Request) -> Response:
        """A conversation with images, answered whole or, with `stream`, in chunks."""
        caller = await desk.caller(request, questions=1)
        body = validated(chat.ChatRequest, await desk.json(request), "The request")
        said = chat.asked(body, desk.limits, request.state.request_id, desk.config.image_hosts)
        desk.worded(said.question)
        asked = await desk.complete(request, said)
        if not asked.stream:
            work = desk.upstream.ask(caller, asked.images, asked.question, asked.options, asked.request_id)
            done = chat.completion(await while_there(request, work), body.model)
            return Response(done.model_dump_json(), media_type="application/json")
        stream = desk.upstream.stream(caller, asked.images, asked.question, asked.options, asked.request_id)
        first = await while_there(request, events.first(stream))

        def failed(error: BaseException) -> None:
            request.state.outcome = outcome(error)

        with_usage = body.stream_options is not None and body.stream_options.include_usage
        chunks = Chunks(asked.request_id, body.model, with_usage=with_usage)
        return StreamingResponse(
            chunks.written(first, stream, failed), media_type=events.MEDIA_TYPE, headers=events.HEADERS
        )

    @router.get("/models", response_model=chat.Models, summary="Checkpoints, in OpenAI's form")
    async def models(request: Request) -> chat.Models:
        """`pixelis`, the default one, and those that were published by name."""
        await desk.caller(request)
        named = await while_there(request, desk.upstream.client.checkpoints())
        return chat.Models(data=[chat.Model(id=name) for name in (chat.MODEL, *named)])

    return router
