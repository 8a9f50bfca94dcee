"""One error for all that is no JSON."""

from __future__ import annotations

import pytest

from pixelis.json_text import loads


def test_json() -> None:
    assert loads('{"a": [1, "é"]}') == loads(b'{"a": [1, "\xc3\xa9"]}') == {"a": [1, "é"]}


@pytest.mark.parametrize("text", ["", "{", b"\xff", "[" * 100_000, '{"a":' * 100_000, "9" * 5000])
def test_what_is_none(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)
