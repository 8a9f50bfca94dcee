"""The application with every public object in its OpenAPI document, also those that no route returns."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from clients.gateway.chat import ChatRequest
from clients.gateway.requests import BatchRequest, FeedbackRequest, InferRequest
from pixelis.schema import PUBLISHED

BODIES: tuple[type[BaseModel], ...] = (InferRequest, BatchRequest, FeedbackRequest, ChatRequest)
"""Read by hand, so that FastAPI does not know them."""
PLACE = "#/components/schemas/"


class Documented(FastAPI):
    """FastAPI whose document has the JSON Schema of every public object under `components`."""

    def openapi(self) -> dict[str, Any]:
        """The document."""
        if self.openapi_schema is None:
            found = super().openapi()
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            for name, schema in published().items():
                schemas.setdefault(name, schema)
            found["components"]["schemas"] = dict(sorted(schemas.items()))
        assert self.openapi_schema is not None
        return self.openapi_schema


def published() -> dict[str, Any]:
    """Name -> JSON Schema of the public objects, as they are sent."""
    chosen = [(model, "validation") for model in (*PUBLISHED, *BODIES)]
    _, document = models_json_schema(chosen, ref_template=PLACE + "{model}")  # type: ignore[arg-type]
    found: dict[str, Any] = document["$defs"]
    return found
