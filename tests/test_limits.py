"""docs/limits.md says what the code does: defaults, ranges, tests that exist, and no bounded setting left out."""

from __future__ import annotations

import importlib
import json
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from clients.gateway.keys import Key
from pixelis.errors import InvalidImage, InvalidRequest, LimitExceeded
from pixelis.schema import CallerOptions, Options
from pixelis.settings import Limits, Settings

ROOT = Path(__file__).parents[1]
UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

NO_LIMIT = {
    "gateway.port": "an address",
    "gateway.canary_share": "a share",
    "gateway.image_fetches": "in the text below the table",
    "decoding.inter_token_ms": "a wish, that changes how much is done at once",
    "OPTIONS.top_p": "a share of probability",
    "OPTIONS.min_p": "a share of probability",
    "OPTIONS.seed": "a name",
}
"""Numbers that bound nothing that somebody meets, and why."""
SECTIONS = ("limits", "gateway", "decoding")


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    name: str
    of_a_key: bool
    default: str
    test: str


def rows() -> Iterator[Row]:
    for line in (ROOT / "docs" / "limits.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 5 and "`" in cells[1]:
            yield Row(cells[1].split("`")[1], cells[1].endswith("of a key"), cells[2], cells[4])


ROWS = list(rows())
OF_OPTIONS = [row for row in ROWS if row.name.startswith("OPTIONS.")]


def fields(model: type[BaseModel], prefix: str) -> dict[str, FieldInfo]:
    return {f"{prefix}.{name}": field for name, field in model.model_fields.items()}


def default(row: Row) -> Any:
    """What the code has for a row."""
    if row.name.startswith("OPTIONS."):
        return getattr(Options(), row.name.removeprefix("OPTIONS."))
    if row.of_a_key:
        return Key.model_fields[row.name].default
    found: Any = Settings.model_construct()
    parts = row.name.split(".")
    if parts[0] in Settings.model_fields:
        for part in parts:
            found = getattr(found, part)
        return found
    return getattr(importlib.import_module(".".join(parts[:-1])), parts[-1])


def said(row: Row) -> tuple[float | None, tuple[float | None, float | None]]:
    """The default in a row, and the range in its brackets."""
    found = re.fullmatch(r"(none|[\d.]+(?: [KMG]iB)?)(?: \(([\d.]*)–([\d.]*)\))?", row.default)
    assert found, row
    number, _, unit = found[1].partition(" ")
    value = None if number == "none" else float(number) * UNITS.get(unit, 1)
    low, high = (float(text) if text else None for text in (found[2] or "", found[3] or ""))
    return value, (low, high)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_default_is_that_of_the_code(row: Row) -> None:
    made = default(row)
    assert said(row)[0] == (None if made in (None, []) else made)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_shows_it_exists(row: Row) -> None:
    file, _, name = row.test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_no_bounded_setting_is_left_out() -> None:
    known: dict[str, FieldInfo] = fields(CallerOptions, "OPTIONS")
    for section in SECTIONS:
        known |= fields(Settings.model_fields[section].annotation, section)  # type: ignore[arg-type]
    numbers = {name for name, field in known.items() if re.search(r"\b(int|float)\b", str(field.annotation))}
    numbers |= {name for name, field in known.items() if bounds(field)[1] is not None} - {"OPTIONS.model"}
    assert len(numbers) > 35
    assert numbers - {row.name for row in ROWS} == NO_LIMIT.keys()


def bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """The least and the most of a field, or of its length."""
    least = most = None
    for rule in field.metadata:
        least = getattr(rule, "ge", least)
        most = getattr(rule, "le", getattr(rule, "max_length", most))
    return least, most


@pytest.mark.parametrize("row", OF_OPTIONS, ids=lambda row: row.name)
def test_the_range_is_that_of_the_code(row: Row) -> None:
    assert said(row)[1] == bounds(CallerOptions.model_fields[row.name.removeprefix("OPTIONS.")])


BEYOND: dict[str, list[Any]] = {
    "stop": [["x"] * 9, ["x" * 257], [""]],
    "history": [[{"question": "?", "answer": "!"}] * 65, [{"question": "x" * 32_769, "answer": ""}]],
    "system": ["x" * 32_769],
    "fps": [0, 240.1],
}


@pytest.mark.parametrize("row", OF_OPTIONS, ids=lambda row: row.name)
def test_options_out_of_range_are_refused(row: Row) -> None:
    name = row.name.removeprefix("OPTIONS.")
    least, most = said(row)[1]
    for value in BEYOND.get(name, [(least or 0) - 1, (most or 0) + 1]):
        with pytest.raises(InvalidRequest, match=rf"wrong at `{name}"):
            Options.parse(json.dumps({name: value}))


@pytest.mark.parametrize("name", [name for name in NO_LIMIT if name.startswith("OPTIONS.")])
def test_what_is_no_limit_has_bounds_all_the_same(name: str) -> None:
    with pytest.raises(InvalidRequest, match="wrong at"):
        Options.parse(json.dumps({name.removeprefix("OPTIONS."): -1}))


def test_settings_out_of_range_are_refused() -> None:
    for section, name, value in (("gateway", "workers", 65), ("gateway", "workers", 0), ("limits", "frames", 0)):
        with pytest.raises(ValidationError, match=name):
            Settings.model_validate({section: {name: value}})


def test_an_operation_of_too_many_bytes_is_refused() -> None:
    from python_backends.visual_ops.asked import MOST_BYTES, parsed

    with pytest.raises(LimitExceeded, match="at most 4194304 are allowed"):
        parsed(b" " * (MOST_BYTES + 1))


def test_a_png_of_too_many_chunks_is_refused() -> None:
    from python_backends.imaging import png, read

    def chunk(kind: bytes, data: bytes = b"") -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
    with pytest.raises(InvalidImage, match="more than 65536 chunks"):
        read.header(png.SIGNATURE + size + chunk(b"prIv") * png.CHUNKS, Limits())
