"""Tensors, calls and errors, without a server."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clients import PixelisClient, faults, metrics, rest, rpc, wire
from clients.connection import address
from clients.tensors import Tensors, datatype, pack, text, unpack
from pixelis.errors import InvalidImage, InvalidRequest, LimitExceeded, NotFound, ServingError, Unavailable
from pixelis.schema import KnnCommand, Operation, Options
from tests.clients.conftest import picture


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_bytes_survive(elements: list[bytes]) -> None:
    array = text(*elements)
    back = unpack(pack(array), "BYTES", array.shape)
    assert list(back) == elements


@given(st.sampled_from(["f4", "i4", "i8", "u1", "f2"]), st.data())
def test_numbers_survive(kind: str, data: st.DataObject) -> None:
    array = data.draw(arrays.arrays(kind, arrays.array_shapes(max_dims=3)))
    np.testing.assert_array_equal(unpack(pack(array), datatype(array), array.shape), array)


def test_bytes_are_laid_out_as_triton_s_own_client_does() -> None:
    from tritonclient.utils import serialize_byte_tensor

    array = text("ä", b"\x00\xff", "")
    assert pack(array) == serialize_byte_tensor(array).item()
    with pytest.raises(ValueError, match="BF16"):
        unpack(b"", "BF16", [0])


def test_a_question_is_the_same_tensors_with_and_without_a_batch() -> None:
    asked = Options(k=3)
    one, other = wire.ask([b"a", b"b"], "?", asked), wire.stream([b"a", b"b"], "?", asked)
    assert {name: array.shape for name, array in one.inputs.items()} == {
        "IMAGE": (1, 2),
        "QUESTION": (1, 1),
        "OPTIONS": (1, 1),
    }
    for name, array in one.inputs.items():
        assert list(array[0]) == list(other.inputs[name])
    assert json.loads(one.inputs["OPTIONS"].item()) == {"k": 3}
    assert json.loads(wire.ask([b"a"], "?", Options()).inputs["OPTIONS"].item()) == {}
    assert one.timeout_s == 30 + wire.MARGIN_S


def test_options_are_merged() -> None:
    merged = wire.options(Options(k=3, timeout_s=9), {"k": 1, "strategy": "majority"})
    assert merged.model_dump(exclude_unset=True) == {"k": 1, "timeout_s": 9, "strategy": "majority"}


def read(call: wire.Call[object], **outputs: str) -> object:
    return call.parse({name: text(value) for name, value in outputs.items()})


def test_answers_that_are_not_understood() -> None:
    call = wire.operate([b"a"], Operation(operation="ZOOM_IN"))  # type: ignore[arg-type]
    with pytest.raises(ServingError, match="without `RESULT`"):
        read(call, OTHER="{}")
    with pytest.raises(ServingError, match="not understood"):
        read(call, RESULT='{"operation": "ZOOM_IN", "surprise": 1}')


def test_an_answer_is_relayed_as_it_was_written() -> None:
    asked, relayed = (make([b"a"], "?", Options(read_only=False), "mine") for make in (wire.ask, wire.relay))
    assert replace(relayed, parse=asked.parse, inputs=asked.inputs) == asked  # type: ignore[arg-type]
    assert {name: one.tolist() for name, one in relayed.inputs.items()} == {
        name: one.tolist() for name, one in asked.inputs.items()
    }
    written = '{"answer":  "3", "from_cache": true}'
    assert read(relayed, RESULT=written) == wire.Relayed(written.encode(), from_cache=True)
    for wrong in ('{"answer": "3"}', "[]", "{", '{"from_cache": "perhaps"}'):
        with pytest.raises(ServingError, match="not understood"):
            read(relayed, RESULT=wrong)


def test_an_error_event_is_raised() -> None:
    call = wire.stream([b"a"], "?", Options())
    with pytest.raises(InvalidImage, match="Bad bytes"):
        read(call, EVENT='{"event": "error", "code": "invalid_image", "text": "Bad bytes."}')
    with pytest.raises(ServingError, match="odd"):
        read(call, EVENT='{"event": "error", "text": "odd"}')


def test_both_protocols_carry_the_same_tensors() -> None:
    call = wire.knn(None, [0.5, 1.5], 7)
    message = rpc.request(call)
    data, headers = rest.body(call)
    length = int(headers[rest.HEADER_LENGTH])
    assert [tensor["name"] for tensor in json.loads(data[:length])["inputs"]] == ["KEY", "K"]
    assert b"".join(message.raw_input_contents) == data[length:]
    assert [list(tensor.shape) for tensor in message.inputs] == [[1, 2], [1, 1]]


def test_a_streamed_body_holds_images_as_data_urls() -> None:
    images = [picture(1, kind) for kind in ("PNG", "JPEG", "WEBP")]
    body = json.loads(rest.generate(wire.stream(images, "¿?", Options(), "mine")))
    assert (body["id"], body["QUESTION"], body["OPTIONS"]) == ("mine", "¿?", "{}")
    assert [url.partition(";")[0] for url in body["IMAGE"]] == [f"data:image/{k}" for k in ("png", "jpeg", "webp")]
    assert [base64.b64decode(url.partition(",")[2]) for url in body["IMAGE"]] == images
    with pytest.raises(LimitExceeded, match="gRPC"):
        rest.generate(wire.stream([bytes(rest.MAX_JSON_BYTES)], "?", Options()))


def test_lines_of_a_stream() -> None:
    def event(line: bytes) -> Tensors | None:
        return rest.event(line)

    assert event(b"\n") is None
    assert event(b": comment\n") is None
    assert event(b'data: {"EVENT": "x"}\n') == {"EVENT": text("x")}
    assert event(b'data: {"EVENT": ["x"], "model_name": "agent"}\n') == {
        "EVENT": text("x"),
        "model_name": text("agent"),
    }
    with pytest.raises(Unavailable):
        event(b'data: {"error": "unavailable: Gone."}\n')


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("in ensemble 'pixelis', invalid_image: Bad.", InvalidImage),
        ("Request for unknown model: 'x' is not found", NotFound),
        ("Stub process 'x' is not healthy.", Unavailable),
        ("something else", ServingError),
    ],
)
def test_what_a_server_says(said: str, kind: type[Exception]) -> None:
    assert type(faults.from_server(said)) is kind


def test_a_status_without_a_reason() -> None:
    with pytest.raises(ServingError, match="HTTP 502"):
        rest.refuse(502, b"<html>")


def test_metrics() -> None:
    sample = '# HELP a b\n# TYPE a counter\na{model="x y",version="1"} 3\nb 1.5e+03\n'
    assert metrics.parse(sample) == {'a{model="x y",version="1"}': 3, "b": 1500}


@pytest.mark.parametrize("url", ["localhost", "localhost:abc", "not a url", "h:70000", "http://h:1/path", "", "a\n:1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="is not host:port"):
        PixelisClient(url)


@pytest.mark.parametrize(
    ("url", "means"),
    [("http://h.example:80/", "h.example:80"), ("[::1]:8001", "[::1]:8001"), ("my_host-1:1", "my_host-1:1")],
)
def test_addresses(url: str, means: str) -> None:
    assert address(url, "http") == means


def test_a_question_that_is_not_utf_8_is_refused() -> None:
    asked = b"What \xff is".decode("utf-8", "surrogateescape")  # as a shell's argument arrives
    with pytest.raises(InvalidRequest, match="UTF-8"):
        wire.ask([b"a"], asked, Options())


@pytest.mark.parametrize("prefix", [b"", b"data: "])  # a stream that is refused says so in its own form
def test_a_refusal_says_why(prefix: bytes) -> None:
    with pytest.raises(Unavailable, match="not healthy"):
        rest.refuse(400, prefix + b'{"error":"Stub process \'agent_0_0\' is not healthy."}\n\n')


def test_what_changes_something_is_not_safe_to_ask_twice() -> None:
    assert wire.ask([b"a"], "?", Options()).safe
    assert not wire.ask([b"a"], "?", Options(read_only=False)).safe
    assert wire.knn(None, np.zeros(3), 5).safe
    assert wire.knn(KnnCommand(command="stats")).safe
    assert not wire.feedback("r", True, None).safe
