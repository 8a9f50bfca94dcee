"""The bodies that routes take, made from the same options that Triton takes."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pixelis.errors import InvalidRequest
from pixelis.schema import CallerOptions, Options, PipelineResult, Strategy, misfit

M = TypeVar("M", bound=BaseModel)

RequestId = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9._:-]*$", description="none = one is made")]


class InferRequest(CallerOptions):
    """Body of `POST /infer`: a question about images, and any of `OPTIONS` but `tenant`. A number in quotes is none."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)

    strategy: Strategy = Field(Strategy.WEIGHTED, strict=False)  # strict would want the enumeration's own objects
    request_id: RequestId = ""
    image: str | None = Field(
        None,
        description="base64, or a `data:` URL, of a JPEG, PNG or WebP; or an address that the gateway fetches",
    )
    images: list[str] = Field(default_factory=list, description="instead of `image`: several, or frames in order")
    question: str = Field(min_length=1)
    stream: bool = Field(False, description="answer with server-sent events, one for each step")

    background: bool = Field(
        False, description="of a stream: it goes on when its client goes; `/v1/events/{request_id}` has its events"
    )

    def pictures(self) -> list[str]:
        """The images as sent. Raises `InvalidRequest` where both fields say some."""
        if self.image is not None and self.images:
            raise InvalidRequest("`image` and `images` are both there.", mend="Send one of the two.")
        return self.images if self.image is None else [self.image]

    def options(self) -> Options:
        """What was said of `OPTIONS`; what was not is left to the server."""
        said = {name: getattr(self, name) for name in self.model_fields_set if name in CallerOptions.model_fields}
        return Options.model_validate(said)


class BatchRequest(BaseModel):
    """Body of `POST /batch_infer`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    requests: list[dict[str, Any]] = Field(min_length=1, description="bodies of `POST /infer`, without `stream`")


class FeedbackRequest(BaseModel):
    """Body of `POST /feedback`: whether the answer to a request was right, or what is right."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: str = Field(min_length=1, max_length=128, description="of a request asked with `read_only: false`")
    correct: bool | None = None
    answer: str | None = Field(None, max_length=8192)


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str = Field(description="stable, for programs")
    message: str = Field(description="what went wrong, and what the caller can do")
    mend: str | None = Field(None, description="the latter alone")
    type: str = Field(description="`invalid_request_error` or `server_error`, as OpenAI's clients know them")
    param: str | None = None
    request_id: str


class ErrorBody(BaseModel):
    """Body of every answer that is an error."""

    error: ErrorDetail


class BatchMember(BaseModel):
    """One member's answer: its result, or its error, with the status that it would have had alone."""

    status: int
    result: PipelineResult | None = None
    error: ErrorDetail | None = None


class BatchAnswer(BaseModel):
    """Answers in the order of the requests."""

    answers: list[BatchMember]


def validated(model: type[M], said: dict[str, Any], what: str) -> M:
    """`said` as `model`. Raises `InvalidRequest`, which names the field, the fault and the known fields."""
    try:
        return model.model_validate(said)
    except ValidationError as error:
        raise misfit(model, error, what) from None


def named(header: bytes | None) -> str:
    """A request's name from its header. Raises `InvalidRequest` where it is none that goes through."""
    if header and not re.fullmatch(rb"[A-Za-z0-9._:-]{1,128}", header):
        raise InvalidRequest(
            "The header `X-Request-Id` is no name.", mend="Up to 128 letters, digits, dots, colons, _ and -."
        )
    return header.decode() if header else ""
