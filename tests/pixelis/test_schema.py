"""The wire objects: unknown keys are named, bounds are said, the published schema is the code's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixelis.errors import InvalidRequest
from pixelis.schema import Options, json_schema

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("text", [None, "", "  ", "{}", b"{}"])
def test_no_options_are_the_defaults(text: str | bytes | None) -> None:
    assert Options.parse(text) == Options()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"kk": 1}', "unknown key `kk`"),
        ('{"k": -1}', "`k`"),
        ('{"timeout_s": 0.5}', "`timeout_s`"),
        ('{"priority": 11}', "`priority`"),
        ('{"max_operations": 51}', "`max_operations`"),
        ('{"temperature": NaN}', "`temperature`"),
        ("[1]", "JSON"),
        ("{", "JSON"),
    ],
)
def test_bad_options_say_what_is_wrong_and_what_is_known(text: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Options.parse(text)
    assert says in str(caught.value)
    assert "max_operations" in str(caught.value)


def test_published_schema_is_the_codes() -> None:
    assert json.loads((ROOT / "docs" / "schema.json").read_text()) == json_schema(), "run `make docs`"
