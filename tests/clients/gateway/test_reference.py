"""The OpenAPI document has every public object, and `docs/api.md` is that document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.gateway.documented import BODIES, PLACE
from clients.gateway.kinds import bounds, cell, kind
from clients.gateway.reference import document, page
from pixelis.schema import PUBLISHED

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = document()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == page(DOCUMENT), "run `make docs`"


def test_every_public_object_is_in_the_document_under_its_name() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert {model.__name__ for model in (*PUBLISHED, *BODIES)} <= schemas.keys()
    assert all(re.fullmatch(r"[A-Za-z]+", name) for name in schemas), "two objects of one name"
    found = set(references(DOCUMENT))
    assert found
    assert {one.removeprefix(PLACE) for one in found} <= schemas.keys()


def test_links_lead_somewhere() -> None:
    text = page(DOCUMENT)
    headings = {line.lstrip("# ").lower() for line in text.splitlines() if line.startswith("#")}
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert links
    assert links <= headings


def test_every_row_has_the_cells_of_its_table() -> None:
    cells = 0
    for line in page(DOCUMENT).splitlines():
        if line.startswith("|"):
            count = len(re.findall(r"(?<!\\)\|", line))
            cells = cells or count
            assert count == cells, line
        else:
            cells = 0


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Action"}}, "list of [Action](#action)"),
        ({"type": "array", "prefixItems": [{"type": "number"}] * 2}, "[number, number]"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number"),
        ({"type": "object", "additionalProperties": True}, "object"),
        ({"type": "string", "format": "binary"}, "file"),
        ({"enum": ["a", 1]}, '`"a"`, `1`'),
        ({"const": None}, "`null`"),
        ({}, "anything"),
    ],
)
def test_a_schema_in_words(schema: dict[str, Any], words: str) -> None:
    assert kind(schema) == words


def test_bounds_in_words() -> None:
    assert bounds({"anyOf": [{"type": "integer", "minimum": 0, "exclusiveMaximum": 9}, {"type": "null"}]}) == "≥ 0, < 9"
    assert bounds({"minLength": 1, "pattern": "^a|b$"}) == "not empty, `^a|b$`"
    assert cell("a|b\n  c") == "a\\|b c"
