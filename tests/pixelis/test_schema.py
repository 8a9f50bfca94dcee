"""The wire objects: unknown keys are named, bounds are said, the published schema is the code's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixelis.errors import InvalidRequest
from pixelis.schema import MAX_SEED, Options, Sampling, TokenChoice, json_schema, parse_as

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
        ('{"temperature": Infinity}', "`temperature`"),
        ('{"temperature": -0.1}', "`temperature`"),
        ('{"top_p": 1.1}', "`top_p`"),
        ('{"top_k": 1e7}', "`top_k`"),
        ('{"min_p": -0.1}', "`min_p`"),
        ('{"repetition_penalty": 0}', "`repetition_penalty`"),
        ('{"repetition_penalty": 1e300}', "`repetition_penalty`"),
        (f'{{"seed": {MAX_SEED + 1}}}', "`seed`"),
        ('{"stop": [""]}', "`stop.0`"),
        ('{"stop": ["1", "2", "3", "4", "5", "6", "7", "8", "9"]}', "`stop`"),
        ('{"max_tokens": 0}', "`max_tokens`"),
        ("[1]", "JSON"),
        ("{", "JSON"),
    ],
)
def test_bad_options_say_what_is_wrong_and_what_is_known(text: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Options.parse(text)
    assert says in str(caught.value)
    assert "max_operations" in str(caught.value)


@pytest.mark.parametrize("model", [Options, Sampling])
@pytest.mark.parametrize("narrowing", ['"top_p": 0.9', '"top_k": 2', '"min_p": 0.1'])
def test_narrowing_a_draw_that_does_not_take_place_is_refused(model: type[TokenChoice], narrowing: str) -> None:
    rest = '"request_id": "a", ' if model is Sampling else ""
    for temperature in ("", '"temperature": 0, '):
        with pytest.raises(InvalidRequest) as caught:
            parse_as(model, f"{{{rest}{temperature}{narrowing}}}", "OPTIONS")
        assert f"`temperature` 0 and `{narrowing[1:6]}" in str(caught.value)
        assert "contradict" in str(caught.value)
    parsed = parse_as(model, f'{{{rest}"temperature": 0.1, {narrowing}}}', "OPTIONS")
    assert parse_as(model, parsed.model_dump_json(), "OPTIONS") == parsed


@pytest.mark.parametrize(
    "text",
    ['{"seed": 7}', '{"top_k": 1}', '{"min_p": 1}', '{"top_p": 1}', '{"repetition_penalty": 1.2, "stop": ["x"]}'],
)
def test_what_is_merely_idle_at_temperature_0_is_taken(text: str) -> None:
    assert Options.parse(Options.parse(text).model_dump_json()) == Options.parse(text)


def test_published_schema_is_the_codes() -> None:
    assert json.loads((ROOT / "docs" / "schema.json").read_text()) == json_schema(), "run `make docs`"
