"""OpenAI's chat completions, as bodies and as questions of the pipeline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clients.gateway import pictures
from clients.gateway.addresses import Address
from clients.gateway.desk import Asked
from clients.gateway.requests import validated
from pixelis.errors import InvalidRequest
from pixelis.schema import CallerOptions, Exchange, Options, PipelineResult
from pixelis.settings import Limits

MODEL = "pixelis"
"""The default checkpoint, as OpenAI's clients name it."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ImageUrl(_Body):
    """Where an image is."""

    url: str = Field(description="a `data:` URL, or an address that the gateway fetches")
    detail: Literal["auto", "low", "high"] = Field("auto", description="the agent looks as closely as it needs to")


class TextPart(_Body):
    """A piece of text."""

    type: Literal["text"]
    text: str


class ImagePart(_Body):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(_Body):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]
    name: str | None = Field(None, description="is taken and not heeded")


class StreamOptions(_Body):
    """What a stream says beside."""

    include_usage: bool = False


class ResponseFormat(_Body):
    """What an answer is written in."""

    type: Literal["text"]


class ChatRequest(_Body):
    """Body of `POST /v1/chat/completions`."""

    model: str = Field(MODEL, max_length=64, description="`pixelis`, or a named checkpoint; see `/v1/models`")
    messages: list[Message] = Field(min_length=1, max_length=256)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=8192, description="of one turn")
    max_completion_tokens: int | None = Field(None, ge=1, le=8192, description="the same")
    stop: str | list[str] | None = None
    seed: int | None = Field(None, ge=0)
    n: Literal[1] = 1
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    logprobs: Literal[False] | None = None
    response_format: ResponseFormat | None = None
    tools: list[Any] | None = Field(None, description="the agent has tools of its own; others are refused")
    tool_choice: Literal["none", "auto"] | None = None
    user: str | None = Field(None, description="is taken and not heeded")
    pixelis: dict[str, Any] = Field(
        default_factory=dict, description="any of `OPTIONS` but `tenant`, such as `k` or `timeout_s`"
    )


class TokenCount(BaseModel):
    """Tokens of the policy."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Said(BaseModel):
    """What the assistant says."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The one answer."""

    index: Literal[0] = 0
    message: Said
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class Completion(BaseModel):
    """An answer as OpenAI's clients read it; `pixelis` has the rest: trajectory, reward, provenance, timings."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: TokenCount | None = None
    pixelis: PipelineResult


class Model(BaseModel):
    """A checkpoint."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: Literal["pixelis"] = "pixelis"


class Models(BaseModel):
    """Body of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[Model]


@dataclass
class _Turn:
    """A user's turn: its texts, its images, and what was answered."""

    texts: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    answer: str | None = None


def asked(body: ChatRequest, limits: Limits, request_id: str, hosts: Sequence[str] = ()) -> Asked[bytes | Address]:
    """A conversation as a question with its history.

    Args:
        body: the conversation.
        limits: of images.
        request_id: the request's name.
        hosts: whose images are fetched.

    Raises:
        RequestError: what is not taken, and why.
    """
    if body.tools:
        raise InvalidRequest("`tools` of the caller are not called.", mend="Leave them out: the agent has its own.")
    system, turns = _turns(body.messages)
    last = turns.pop()
    if last.answer is not None:
        raise InvalidRequest("The last message is the assistant's.", mend="End with a message of the user.")
    question = _text(last)
    history = [_exchange(turn) for turn in turns]
    images = pictures.decode([image for turn in (*turns, last) for image in turn.images], limits, hosts)
    said = dict(body.pixelis)
    chosen = {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "max_tokens": body.max_completion_tokens or body.max_tokens,
        "stop": [body.stop] if isinstance(body.stop, str) else body.stop,
        "seed": body.seed,
        "model": None if body.model == MODEL else body.model,
        "system": system or None,
        "history": [exchange.model_dump() for exchange in history] or None,
    }
    twice = sorted(name for name, value in chosen.items() if value is not None and name in said)
    if twice:
        raise InvalidRequest(f"`{twice[0]}` is said twice.", mend="Leave it out of `pixelis`.")
    said |= {name: value for name, value in chosen.items() if value is not None}
    validated(CallerOptions, said, "The request")  # what a caller may not say is refused
    return Asked(images, question, validated(Options, said, "The request"), request_id, body.stream)


def _turns(messages: list[Message]) -> tuple[str, list[_Turn]]:
    """What the system says, and the user's turns; messages of one role that follow each other are one."""
    system, turns = [], [_Turn()]
    for message in messages:
        texts, images = _parts(message)
        if message.role in ("system", "developer"):
            system += texts
        elif message.role == "assistant":
            if not turns[-1].texts:
                raise InvalidRequest("The assistant speaks before the user.", mend="Begin with a message of the user.")
            turns[-1].answer = "\n".join([*([turns[-1].answer] if turns[-1].answer else []), *texts])
        else:
            if turns[-1].answer is not None:
                turns.append(_Turn())
            turns[-1].texts += texts
            turns[-1].images += images
        if images and message.role != "user":
            raise InvalidRequest(f"An image of the {message.role}.", mend="Images come with messages of the user.")
    return "\n\n".join(system), turns


def _parts(message: Message) -> tuple[list[str], list[str]]:
    if isinstance(message.content, str):
        return [message.content], []
    texts = [part.text for part in message.content if isinstance(part, TextPart)]
    return texts, [part.image_url.url for part in message.content if isinstance(part, ImagePart)]


def _exchange(turn: _Turn) -> Exchange:
    said = {"question": _text(turn), "answer": turn.answer or "", "images": len(turn.images)}
    return validated(Exchange, said, "A turn of the conversation")


def _text(turn: _Turn) -> str:
    text = "\n".join(turn.texts).strip()
    if not text:
        raise InvalidRequest("A message of the user has no text.", mend="Ask something about the image.")
    return text


def completion(result: PipelineResult, model: str) -> Completion:
    """A result as OpenAI's object."""
    said = Choice(message=Said(content=result.answer), finish_reason=finish(result))
    return Completion(
        id=named(result.request_id),
        created=int(time.time()),
        model=model,
        choices=[said],
        usage=usage(result),
        pixelis=result,
    )


def finish(result: PipelineResult) -> Literal["stop", "length"]:
    """`length` where the answer was cut off: by `max_tokens`, or by the time."""
    return "length" if result.finish in ("max_tokens", "timeout") else "stop"


def usage(result: PipelineResult) -> TokenCount | None:
    """The policy's tokens, where the server counts them."""
    if result.usage is None:
        return None
    given, written = result.usage.prompt_tokens, result.usage.completion_tokens
    return TokenCount(prompt_tokens=given, completion_tokens=written, total_tokens=given + written)


def named(request_id: str) -> str:
    """A request's name as OpenAI's clients expect one."""
    return f"chatcmpl-{request_id}"
