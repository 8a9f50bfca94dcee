"""One error, soon, for all that is no YAML."""

from __future__ import annotations

import time

import pytest

from pixelis.yaml_text import loads


def test_yaml() -> None:
    assert loads("a: [1, {b: é}]\nc: '[['".encode()) == {"a": [1, {"b": "é"}], "c": "[["}


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"a: [",
        b"a: 2001-99-99",
        b"!!timestamp x",
        b"!!int x",
        b'!!int ""',
        b"!!float abc",
        b"? [a]: b",
        b"!!python/object:os.system {}",
        b"<<: 5",
        b"- " * 9000,
        b"[" * 20_000,
        b"[[]," * 3000,
        b"a: b\n" * 10_000,
    ],
)
def test_what_is_none(text: bytes) -> None:
    started = time.thread_time()
    with pytest.raises(ValueError, match=r"."):
        loads(text)
    assert time.thread_time() - started < 1
