"""JSON Schemas in words, as a table's cell has room for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "pattern": "`{}`",
}
_SOME = (("minLength", 1), ("minItems", 1))


def kind(schema: dict[str, Any]) -> str:
    """What a value is; another object as a link to its heading."""
    if "$ref" in schema:
        return linked(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(kind(one) for one in schema[several])
    return _plain(schema)


def bounds(schema: dict[str, Any]) -> str:
    """Between what a value lies."""
    found = dict.fromkeys(_bounds(schema))  # both sides of a union may say the same
    return ", ".join(found)


def linked(name: str) -> str:
    """A link to an object's heading."""
    return f"[{name}](#{name.lower()})"


def cell(text: str) -> str:
    """Text that ends neither a cell nor a row."""
    return " ".join(text.split()).replace("|", "\\|")


def _plain(schema: dict[str, Any]) -> str:
    name = schema.get("type", "anything")
    if name == "array":
        if "prefixItems" in schema:
            return "[" + ", ".join(kind(one) for one in schema["prefixItems"]) + "]"
        return f"list of {kind(schema.get('items', {}))}"
    if name == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind(schema['additionalProperties'])}"
    return {"binary": "file"}.get(schema.get("format", ""), str(name))


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    for name, words in _BOUNDS.items():
        if name in schema:
            yield "not empty" if (name, schema[name]) in _SOME else words.format(schema[name])
    for several in ("anyOf", "oneOf"):
        for one in schema.get(several, []):
            yield from _bounds(one)
