"""Answers of a server that are none: a typed error, whatever stands in them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from clients import faults, metrics, rest, rpc
from clients.tensors import pack, text, unpack
from pixelis.errors import RateLimited, ServingError, Unavailable, from_wire
from server import control

WORD = pack(text("word"))
TENSOR = {"name": "RESULT", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(WORD)}}


def http(**changes: Any) -> bytes:
    return json.dumps({"outputs": [{**TENSOR, **changes}]}).encode()


def test_an_answer() -> None:
    assert rest.outputs(http() + WORD, str(len(http())))["RESULT"].tolist() == [b"word"]


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"{", None),
        (b"[" * 20_000, None),
        (b"[]", None),
        (b'{"outputs": 7}', None),
        (b'{"outputs": [7]}', None),
        (http(parameters={}), None),
        (http(shape=[-1]), None),
        (http(shape="x"), None),
        (http(shape=[2**40, 2**40]), None),
        (http(datatype="INT8"), None),
        (http(datatype="\ud800"), None),
        (http(parameters={"binary_data_size": 4000}), None),
        (http(parameters={"binary_data_size": -4}), None),
        (http(), "x"),
        (http(), "9" * 5000),
        (http(), "-1"),
    ],
)
def test_an_answer_over_http_that_is_none(head: bytes, length: str | None) -> None:
    with pytest.raises(ServingError, match="not understood") as caught:
        rest.outputs(head + WORD, str(len(head)) if length is None else length)
    caught.value.wire().encode()


@pytest.mark.parametrize(
    "line", [b"data: {", b"data: 7", b"data: [1]", b"data:" + b"[" * 20_000, b'data: {"E": "\\ud800"}']
)
def test_an_event_that_is_none(line: bytes) -> None:
    with pytest.raises(ServingError, match="not understood"):
        rest.event(line)


def response(raws: list[bytes], kind: str = "BYTES", shape: tuple[int, ...] = (1,)) -> Any:
    answer = service_pb2.ModelInferResponse()
    answer.outputs.add(name="RESULT", datatype=kind, shape=shape)
    answer.raw_output_contents.extend(raws)
    return answer


@pytest.mark.parametrize(
    "answer",
    [response([]), response([WORD[:-1]]), response([WORD[:3]]), response([WORD], "INT8"), response([WORD], shape=(2,))],
)
def test_an_answer_over_grpc_that_is_none(answer: Any) -> None:
    for read in (rpc.outputs, control._outputs):
        with pytest.raises(ServingError, match="not understood"):
            read(answer)


def test_a_tensor_is_as_long_as_it_says() -> None:
    """The last element was cut short without a word."""
    assert unpack(WORD, "BYTES", [1]).tolist() == [b"word"]
    for raw in (WORD[:-1], WORD[:2], b"\xff\xff\xff\xff"):
        with pytest.raises(ValueError, match="cut short"):
            unpack(raw, "BYTES", [1])
    with pytest.raises(ValueError, match="shape"):
        unpack(np.zeros(2, np.float32).tobytes(), "FP32", [-1])


def test_metrics_of_something_else() -> None:
    assert metrics.parse("# a\na 1\n") == {"a": 1.0}
    for page in ("<html>", "a", "a b"):
        with pytest.raises(ServingError, match="Prometheus"):
            metrics.parse(page)


def test_a_server_s_reason_can_be_handed_on() -> None:
    error = faults.from_server("not_found: \ud800" + "x" * 99_999)
    assert len(error.wire().encode()) < 5000
    with pytest.raises(ServingError):
        rest.refuse(500, b'{"error": ' + b"[" * 20_000)


@pytest.mark.parametrize("kind", [Unavailable, RateLimited])
def test_nobody_waits_for_ever(kind: Any) -> None:
    """A time of a few hundred digits was infinite."""
    assert from_wire(kind("Full.", mend="Try again in 2.5 s.").wire()).retry_after_s == 2.5  # type: ignore[attr-defined]
    assert from_wire(kind("Full.", mend=f"Try again in {'9' * 400} s.").wire()).retry_after_s is None  # type: ignore[attr-defined]
