"""Bytes to a checked request."""

from __future__ import annotations

import base64

import pytest

from clients.gateway import body, pictures
from clients.gateway.requests import InferRequest, named, validated
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


def test_a_body() -> None:
    assert body.parse('{"a": [[[[[[1]]]]]], "ä": "😀"}'.encode(), 8) == {"a": [[[[[[1]]]]]], "ä": "😀"}


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
    "text", ["", "!", "YQ=", "YQ==YQ==", "Y\u00e4==", "data:image/png,abc", "data:;base64", "-_-_"]
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


def test_a_name_in_a_header() -> None:
    assert (named(None), named(b"a.B:1_-")) == ("", "a.B:1_-")
    for name in (b"a b", b"x" * 129, b"\xff", b"a\r\nb"):
        with pytest.raises(InvalidRequest):
            named(name)
