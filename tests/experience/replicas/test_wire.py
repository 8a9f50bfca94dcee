"""Entries of the stream, which anything may have written that reaches Redis."""

from __future__ import annotations

import pytest

from pixelis.errors import SetupError
from python_backends.experience.database.digests import digest
from python_backends.experience.entry import Entry
from python_backends.experience.replicas.wire import decode, encode
from tests.experience.conftest import key


def test_there_and_back() -> None:
    entry = Entry({"op": "insert", "é": 1}, key(1))
    found = decode(b"17-0", encode(entry))
    assert found.position == "17-0"
    assert found.entry.record == entry.record
    assert found.entry.key is not None
    assert (found.entry.key == key(1)).all()


@pytest.mark.parametrize("position", [b"\xff", b"", b"1", b"a-b", b"1-0-0", "٣-0".encode()])
def test_an_id_that_is_none(position: bytes) -> None:
    with pytest.raises(SetupError, match="damaged, or no entry of ours"):
        decode(position, encode(Entry({"op": "founded"})))


@pytest.mark.parametrize(
    ("record", "vector"),
    [(b"{", b""), (b"[" * 9999, b""), (b"\xff", b""), (b"{}", b"abc"), (b'["\\ud800"]', b""), (b"[1e999]", b"")],
)
def test_a_digest_alone_makes_no_entry(record: bytes, vector: bytes) -> None:
    with pytest.raises(SetupError, match="damaged, or no entry of ours"):
        decode(b"1-0", {b"record": record, b"key": vector, b"digest": digest(record, vector)})
