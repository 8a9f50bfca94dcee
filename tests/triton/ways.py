"""One request by every way into the server, as whoever writes a client of their own would send it."""

from __future__ import annotations

import base64
import http.client
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clients.rest import body
from clients.tensors import text
from clients.wire import Call
from pixelis.errors import PixelisError, from_wire
from server.embedded import EmbeddedTriton
from tests.triton.built import stream, texts

WAYS = ("grpc", "http", "stream grpc", "stream http")
STATUS = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 503: "UNAVAILABLE", 500: "INTERNAL"}
"""What gRPC says where HTTP says a number."""


@dataclass(frozen=True)
class Asked:
    """A question as bytes: nothing is checked on this side."""

    images: Sequence[bytes]
    question: bytes = b"What colour is the star?"
    options: bytes = b"{}"


@dataclass(frozen=True)
class Refusal:
    """What came back instead of an answer.

    Attributes:
        status: of HTTP, or the gRPC code as HTTP's number; none for a stream, whose error is an event.
        error: the typed error.
    """

    status: int | None
    error: PixelisError


def refused(triton: EmbeddedTriton, asked: Asked, way: str) -> Refusal:
    """The refusal of `pixelis` (`grpc`, `http`) or `agent` (a stream); fails where there is an answer."""
    if way == "stream grpc":
        tensors = [
            texts("IMAGE", *asked.images, batched=False),
            texts("QUESTION", asked.question, batched=False),
            texts("OPTIONS", asked.options, batched=False),
        ]
        return _event(stream(triton, "agent", tensors)[-1])
    if way == "stream http":
        return _streamed(triton, asked)
    inputs = {"IMAGE": text(*asked.images), "QUESTION": text(asked.question), "OPTIONS": text(asked.options)}
    return unary(triton, "pixelis", {name: array[None] for name, array in inputs.items()}, way)


def unary(triton: EmbeddedTriton, model: str, inputs: dict[str, Any], way: str) -> Refusal:
    """The refusal of any model that answers once."""
    call = Call(model, inputs, 60.0, lambda out: out)
    if way == "grpc":
        return _rpc(triton, call)
    data, headers = body(call)
    status, answer = post(triton, f"/v2/models/{model}/infer", data, headers)
    assert status != 200, answer
    return Refusal(status, from_wire(json.loads(answer)["error"]))


def post(triton: EmbeddedTriton, path: str, data: bytes, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """One exchange over HTTP."""
    connection = http.client.HTTPConnection(triton.http_url, timeout=60)
    try:
        connection.request("POST", path, data, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _rpc(triton: EmbeddedTriton, call: Call[Any]) -> Refusal:
    import grpc
    from tritonclient.grpc import service_pb2_grpc

    from clients.rpc import request

    with grpc.insecure_channel(triton.grpc_url, options=[("grpc.max_send_message_length", -1)]) as channel:
        try:
            answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request(call), timeout=60)
        except grpc.RpcError as error:
            numbers = {name: number for number, name in STATUS.items()}
            return Refusal(numbers.get(error.code().name), from_wire(error.details()))
    raise AssertionError(f"answered: {answer}")


def _streamed(triton: EmbeddedTriton, asked: Asked) -> Refusal:
    images = ["data:image/png;base64," + base64.b64encode(image).decode() for image in asked.images]
    fields = {"IMAGE": images, "QUESTION": "%QUESTION%", "OPTIONS": asked.options.decode()}
    # The question's bytes as they are, also where they are no UTF-8: only what JSON itself needs is escaped.
    question = json.dumps(asked.question.decode("latin-1"), ensure_ascii=False).encode("latin-1")
    data = json.dumps(fields).encode().replace(b'"%QUESTION%"', question)
    status, answer = post(triton, "/v2/models/agent/generate_stream", data)
    lines = [line[6:] for line in answer.splitlines() if line.startswith(b"data: ")]
    if not lines:
        return Refusal(status, from_wire(json.loads(answer)["error"]))
    last = json.loads(lines[-1])
    return _event(json.loads(last["EVENT"])) if "EVENT" in last else Refusal(status, from_wire(last["error"]))


def _event(event: dict[str, Any]) -> Refusal:
    assert event["event"] == "error", event
    return Refusal(None, from_wire(f"{event['code']}: {event['text']}"))


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    import zlib

    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
