"""Errors as HTTP answers."""

from __future__ import annotations

import math

from starlette.responses import JSONResponse, Response

from clients.gateway.requests import ErrorBody, ErrorDetail
from pixelis.errors import DeadlineExceeded, PixelisError, RateLimited, RequestError, Unauthorized, Unavailable

REQUEST_ID = "X-Request-Id"
RETRY_S = 1
"""Said with a 503 that does not know better."""


def detail(error: PixelisError, request_id: str) -> ErrorDetail:
    """An error as the object that travels. What is not one of the caller's own says no more than its message."""
    return ErrorDetail(
        code=error.code,
        message=str(error),
        mend=error.mend,
        type="invalid_request_error" if isinstance(error, RequestError) else "server_error",
        request_id=request_id,
    )


def status(error: PixelisError) -> int:
    """The HTTP status of an error; what Triton or a model did wrong is 502 here."""
    return 502 if error.status == 500 else error.status


def headers(error: PixelisError, request_id: str) -> dict[str, str]:
    """The headers that an error's answer has beside its body."""
    said = {REQUEST_ID: request_id} if request_id else {}
    if isinstance(error, (Unavailable, RateLimited)):
        said["Retry-After"] = str(max(1, math.ceil(error.retry_after_s or RETRY_S)))
    if isinstance(error, Unauthorized):
        said["WWW-Authenticate"] = "Bearer"
    return said


def answer(error: PixelisError, request_id: str, *, close: bool = False) -> Response:
    """The whole answer; `close` where the rest of a body is not read."""
    said = headers(error, request_id) | ({"Connection": "close"} if close else {})
    body = ErrorBody(error=detail(error, request_id))
    return JSONResponse(body.model_dump(mode="json"), status(error), said)


def outcome(error: BaseException) -> str:
    """An error's word in metrics."""
    if isinstance(error, DeadlineExceeded):
        return "deadline_exceeded"
    return error.code if isinstance(error, PixelisError) else "cancelled"
