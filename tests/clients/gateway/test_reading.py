"""Bytes to a checked request."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.gateway import body, desk, pictures
from clients.gateway.requests import InferRequest, named, validated
from clients.gateway.skeleton import LONG as LEAST
from clients.gateway.skeleton import cut
from pixelis.errors import InvalidImage, InvalidRequest, LimitExceeded
from pixelis.schema import CallerOptions, Options
from pixelis.settings import Limits


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "no object"),
        (b'"text"', "no object"),
        (b'{"a": 1, "a": 2}', "`a` occurs twice"),
        (b'{"b": {"a": 1, "a": 2}}', "`a` occurs twice"),
        (b'{"a": NaN}', "`NaN`"),
        (b'{"a": -Infinity}', "`-Infinity`"),
        (b'{"a": [1e999]}', "`1e999`"),
        (b'{"a": ["\\ud800"]}', "half of a surrogate pair"),
        (b'{"a": {"\\uDFff": 1}}', "half of a surrogate pair"),
        (b'{"\\ud800": 1, "\\ud800": 2}', "`\\?` occurs twice"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
        (b'{"a": ' + b"[" * 8 + b"]" * 8 + b"}", "8 levels"),
        (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "8 levels"),
        (b"[" * 1_000_000, "8 levels"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_body_that_is_none_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        body.parse(data, 8)


def test_a_key_twice_among_very_many_is_found_at_once() -> None:
    """Each was counted among all: a body of one megabyte held the process for minutes."""
    data = b"{" + b",".join(b'"k%d":1' % number for number in (*range(100_000), 99_999)) + b"}"
    started = time.thread_time()
    with pytest.raises(InvalidRequest, match="`k99999` occurs twice"):
        body.parse(data, 8)
    assert time.thread_time() - started < 2


def test_a_body() -> None:
    assert body.parse(b'{"a": "\\ud83d\\ude00"}', 8) == {"a": "\N{GRINNING FACE}"}
    assert body.parse('{"a": [[[[[[1]]]]]], "ä": "😀"}'.encode(), 8) == {"a": [[[[[[1]]]]]], "ä": "😀"}


LONG = "x" * LEAST
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=8) | st.sampled_from((LONG, LONG + "é", LONG + "\\", '"' + LONG)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(said=st.dictionaries(st.sampled_from(("a", "b", LONG)), VALUES, min_size=1), plain=st.booleans())
def test_long_strings_are_read_as_the_standard_reader_reads_them(said: dict[str, Any], plain: bool) -> None:
    data = json.dumps(said, ensure_ascii=not plain).encode()
    assert body.parse(data, 20) == said
    skeleton, strings = cut(data)
    assert (skeleton is data) == (not strings)
    assert LONG.encode() not in skeleton or not strings


@given(where=st.integers(0, LEAST + 40), byte=st.integers(0, 255))
def test_a_long_string_that_is_wrong_somewhere_is_refused_as_the_standard_reader_refuses_it(
    where: int, byte: int
) -> None:
    data = bytearray(json.dumps({"image": LONG, "question": "how many?"}).encode())
    data[min(where, len(data) - 1)] = byte
    try:
        expected, wrong = json.loads(data.decode()), ""
    except UnicodeDecodeError:
        expected, wrong = None, "UTF-8"
    except ValueError as error:
        expected, wrong = None, str(error)[:80]
    if wrong:
        with pytest.raises(InvalidRequest, match=re.escape(wrong)):
            body.parse(bytes(data), 8)
    else:
        assert body.parse(bytes(data), 8) == expected


def test_what_stands_for_a_long_string_cannot_be_sent() -> None:
    with pytest.raises(InvalidRequest, match="not JSON"):
        body.parse(b'{"image": "%s", "question": "\0' % LONG.encode() + b'0"}', 8)
    assert body.parse(b'{"image": "%s", "question": "\\u00000"}' % LONG.encode(), 8)["question"] == "\0" + "0"
    with pytest.raises(InvalidRequest, match="occurs twice"):
        body.parse(b'{"%s": 1, "%s": 2}' % (LONG.encode(), LONG.encode()), 8)


def test_options_are_what_was_said_and_no_more() -> None:
    one = validated(InferRequest, {"question": "?", "image": "YQ==", "k": 3, "timeout_s": 9}, "it")
    assert one.options() == Options(k=3, timeout_s=9)
    assert one.options().model_fields_set == {"k", "timeout_s"}
    assert set(CallerOptions.model_fields) == set(Options.model_fields) - {"tenant"}
    assert set(CallerOptions.model_fields) < set(InferRequest.model_fields)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"image": "YQ=="}, "wrong at `question`"),
        ({"question": ""}, "wrong at `question`"),
        ({"question": 7}, "wrong at `question`"),
        ({"question": "?", "k": 101}, "wrong at `k`"),
        ({"question": "?", "heat": 1}, "unknown key `heat`"),
        ({"question": "?", "tenant": "alice"}, "unknown key `tenant`"),
        ({"question": "?", "request_id": "a b"}, "wrong at `request_id`"),
        ({"question": "?", "top_p": 0.5}, "contradict"),
        ({"question": "?", "images": "YQ=="}, "wrong at `images`"),
    ],
)
def test_a_request_that_is_wrong_is_refused(said: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        validated(InferRequest, said, "It")


def test_one_image_or_several() -> None:
    assert InferRequest(question="?", image="a").pictures() == ["a"]
    assert InferRequest(question="?", images=["a", "b"]).pictures() == ["a", "b"]
    with pytest.raises(InvalidRequest, match="both"):
        InferRequest(question="?", image="a", images=["b"]).pictures()


def test_pictures_are_base64_bare_or_as_urls() -> None:
    raw = bytes(range(256)) * 3
    text = base64.b64encode(raw).decode()
    lines = base64.encodebytes(raw).decode()
    given = [text, lines, f"data:image/png;base64,{text}", f"DATA:;Base64,{text}"]
    assert pictures.decode(given, Limits()) == [raw] * 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "YQ=",
        "YQ==YQ==",
        "Y\u00e4==",
        "Y\u0663==",
        "\U0001f600",
        "\ud800",
        "data:image/png,abc",
        "data:;base64",
        "-_-_",
    ],
)
def test_what_is_not_base64_is_no_image(text: str) -> None:
    if not text:
        assert pictures.decode([text], Limits()) == [b""]  # the pipeline says what is wrong with no bytes
        return
    with pytest.raises(InvalidImage):
        pictures.decode([text], Limits())


@pytest.mark.parametrize("text", ["http://a/b.png", "https://169.254.169.254/", "FILE:///etc/passwd", "ftp://a/b"])
def test_addresses_are_not_fetched(text: str) -> None:
    with pytest.raises(InvalidRequest, match="not fetched"):
        pictures.decode([text], Limits())


def test_pictures_have_bounds() -> None:
    limits = Limits(image_bytes=10, frames=2)
    assert pictures.decode([base64.b64encode(b"x" * 10).decode()], limits) == [b"x" * 10]
    with pytest.raises(LimitExceeded, match="10 are taken"):
        pictures.decode([base64.b64encode(b"x" * 13).decode()], limits)
    with pytest.raises(LimitExceeded, match="3 images"):
        pictures.decode(["YQ=="] * 3, limits)
    with pytest.raises(InvalidRequest, match="no image"):
        pictures.decode([], limits)


@pytest.mark.parametrize("text", ["[" * 60_000, '{"a":' * 9000, "[", "9" * 5000])
def test_a_field_of_a_form_that_is_no_json_is_text(text: str) -> None:
    """Which is then not what the field is for; nested too deep it was a fault of the gateway's."""
    assert desk._typed("k", text) == text
    assert desk._typed("k", "3") == 3
    assert desk._typed("question", "3") == "3"


def test_a_name_in_a_header() -> None:
    assert (named(None), named(b"a.B:1_-")) == ("", "a.B:1_-")
    for name in (b"a b", b"x" * 129, b"\xff", b"a\r\nb"):
        with pytest.raises(InvalidRequest):
            named(name)
