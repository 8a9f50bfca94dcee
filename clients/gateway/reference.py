"""`docs/api.md`: the gateway's OpenAPI document as a page. `python -m clients.gateway.reference > docs/api.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from clients.gateway.kinds import bounds, cell, kind, linked
from clients.gateway.openapi import ERRORS

HEAD = """# The gateway's interface

Made from its OpenAPI document by `make docs`; `GET /openapi.json` of a running gateway is the same, with the JSON
Schema of every object below under `components.schemas`. What it is for, and how it is set: [gateway.md](gateway.md).
The objects are also those of Triton's models; a client in another language can be generated from either.
"""
PARAMETERS = "| Parameter | | |\n|---|---|---|"
FIELDS = "| Field | Type | Default | |\n|---|---|---|---|"
TITLES = {"ChatRequest", "BatchRequest", "FeedbackRequest", "InferRequest"}


def document() -> dict[str, Any]:
    """The OpenAPI document of a gateway as it is installed."""
    from clients.gateway.app import application
    from clients.gateway.ledger import OwnLedger
    from clients.gateway.metrics import Metrics
    from pixelis.gateway_config import Gateway
    from pixelis.settings import Limits

    config = Gateway()
    return application(config, Limits(), OwnLedger(config), Metrics()).openapi()


def page(found: dict[str, Any]) -> str:
    """The page of a document."""
    lines = [HEAD, "## Requests\n", "What is refused is refused alike everywhere:\n", *_answers(ERRORS), ""]
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            lines += _operation(method, path, operation)
    lines.append("## Objects\n")
    for name, schema in sorted(found["components"]["schemas"].items()):
        lines += _object(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {method.upper()} {path}\n"
    summary = operation["summary"] if operation["summary"].endswith("?") else f"{operation['summary']}."
    yield f"{summary} {operation.get('description', '')}".strip() + "\n"
    parameters = operation.get("parameters", [])
    if parameters:
        yield PARAMETERS
        yield from (f"| `{one['name']}` ({one['in']}) | {_typed(one['schema'])} | {_said(one)} |" for one in parameters)
        yield ""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        title = content["schema"]["title"]
        file = "; `image` is one file or several" if media.startswith("multipart") else ""
        yield f"Takes {linked(title) if title in TITLES else title} as `{media}`{file}.\n"
    own = {status: one for status, one in operation["responses"].items() if not _refusal(status, one)}
    yield from _answers(own)
    yield ""


def _answers(answers: Mapping[Any, Mapping[str, Any]]) -> Iterator[str]:
    yield "| Status | | |\n|---|---|---|"
    for status, answer in answers.items():
        said = cell(answer["description"]).replace("Successful Response", "")
        yield f"| {status} | {_content(answer)} | {said} |"


def _refusal(status: str, answer: Mapping[str, Any]) -> bool:
    """Whether an answer is what is said of all routes."""
    return status.isdigit() and answer["description"] == ERRORS.get(int(status), {}).get("description")


def _content(answer: Mapping[str, Any]) -> str:
    kinds = [linked(answer["model"].__name__)] if "model" in answer else []
    for media, content in answer.get("content", {}).items():
        schema = content.get("schema", {})
        kinds.append(kind(schema) if "$ref" in schema else f"`{media}`")
    return ", ".join(kinds)


def _object(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if "description" in schema:
        yield schema["description"].strip() + "\n"
    if "properties" not in schema:
        yield kind({key: one for key, one in schema.items() if key != "title"}) + "\n"
        return
    yield FIELDS
    required = schema.get("required", [])
    for field, one in schema["properties"].items():
        default = "required" if field in required else f"`{json.dumps(one['default'])}`" if "default" in one else ""
        yield f"| `{field}` | {_typed(one)} | {cell(default)} | {_said(one)} |"
    yield ""


def _typed(schema: dict[str, Any]) -> str:
    told = ", ".join(filter(None, [kind(schema), bounds(schema)]))
    return cell(told)


def _said(one: dict[str, Any]) -> str:
    return cell(one.get("description", ""))


if __name__ == "__main__":
    sys.stdout.write(page(document()))
