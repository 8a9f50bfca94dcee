"""One error for all that is no JSON."""

from __future__ import annotations

import pytest

from pixelis.json_text import finite, loads, reason
from pixelis.schema import Options


def test_json() -> None:
    assert loads('{"a": [1, "é"]}') == loads(b'{"a": [1, "\xc3\xa9"]}') == {"a": [1, "é"]}


@pytest.mark.parametrize(
    "text", ["", "{", b"\xff", '"\\ud800"', "\ud800", "[" * 100_000, '{"a":' * 100_000, "9" * 5000]
)
def test_what_is_none(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", '{"a": 1e999}', b"-1e999", "[", '"\\ud800"'])
def test_numbers_that_are_none(text: str | bytes) -> None:
    """1e999 came out as an infinity, though NaN and Infinity were refused."""
    with pytest.raises(ValueError, match=r"."):
        finite(text)
    assert finite('{"a": 1e300}') == {"a": 1e300}


def test_reasons_are_short() -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Options.model_validate({"k": ["x" * 5000], "b" * 5000: 1})
    assert reason(caught.value) == "k: Input should be a valid integer"
    assert reason(ValueError("a\nb" * 999)) == "a"
    assert reason(ValueError()) == "ValueError"
    assert len(reason(OSError("x" * 999))) == 200
