"""What the OpenAPI document says beyond what FastAPI reads off the functions: bodies are read by hand here."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from clients.gateway.requests import ErrorBody

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "The request is wrong; `error.mend` says what to do"},
    401: {"model": ErrorBody, "description": "No API key, or one that is not taken"},
    404: {"model": ErrorBody, "description": "There is no such thing"},
    405: {"model": ErrorBody, "description": "The path takes another method"},
    413: {"model": ErrorBody, "description": "Too large"},
    429: {"model": ErrorBody, "description": "Too many requests; see `Retry-After`"},
    502: {"model": ErrorBody, "description": "A model failed"},
    503: {"model": ErrorBody, "description": "Too much to do, or a model is not up; see `Retry-After`"},
    504: {"model": ErrorBody, "description": "The request's time ran out"},
}

_EVENT = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": _EVENT}}, "description": "Whole, or with `stream` event by event"}
}
"""Of a route that may answer with server-sent events."""
FOLLOWED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": _EVENT}}, "description": "Event by event"},
    204: {"description": "Nothing has come after `Last-Event-ID`, nor will"},
}
"""Of a route that follows a request."""


def taking(model: type[BaseModel], *, form: bool = False) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is `model`."""
    schema = inlined(model)
    content = {"application/json": {"schema": schema}}
    if form:
        content["multipart/form-data"] = {"schema": _files(schema)}
    return {"requestBody": {"required": True, "content": content}}


def inlined(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON Schema without references."""
    schema = model.model_json_schema()
    found: dict[str, Any] = _inlined(schema, schema.pop("$defs", {}))
    return found


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_inlined(one, definitions) for one in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        rest = {key: one for key, one in value.items() if key != "$ref"}
        return {**_inlined(definitions[name], definitions), **rest}
    return {key: _inlined(one, definitions) for key, one in value.items()}


def _files(schema: dict[str, Any]) -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    properties = {**schema["properties"], "image": {"type": "array", "items": file, "minItems": 1}}
    del properties["images"]
    return {**schema, "properties": properties, "required": ["image", *schema["required"]]}
