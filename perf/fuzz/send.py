"""Sends a case as whoever writes a client of their own would: nothing is checked on this side."""

from __future__ import annotations

import base64
import http.client
import json
import time
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2_grpc

from clients import rest, rpc
from clients.tensors import Tensors, text
from clients.wire import Call
from perf.fuzz.case import Case

DEADLINE_S = 60.0
"""From here on an answer is one that does not come."""

STATUS = {"OK": 200, "INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 413, "UNAVAILABLE": 503}
"""What gRPC says where HTTP says a number; anything else is 500."""
_CHANNEL = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: of HTTP, or gRPC's as HTTP's; 0 where nothing came.
        said: `RESULT`, or the error's text.
        seconds: how long it took.
    """

    status: int
    said: str
    seconds: float


class Sender:
    """For any number of threads.

    Args:
        http_url: `host:port`.
        grpc_url: `host:port`.
    """

    def __init__(self, http_url: str, grpc_url: str) -> None:
        self._http, self._channel = http_url, grpc.insecure_channel(grpc_url, options=_CHANNEL)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def __call__(self, case: Case) -> Answer:
        """Send a case and wait for what comes."""
        started = time.monotonic()
        try:
            status, said = (self._rpc if case.way == "grpc" else self._post)(case)
        except (OSError, http.client.HTTPException) as error:
            status, said = 0, repr(error)
        return Answer(status, said, time.monotonic() - started)

    def close(self) -> None:
        """End what is under way."""
        self._channel.close()

    def _rpc(self, case: Case) -> tuple[int, str]:
        try:
            answered = self._stub.ModelInfer(rpc.request(_call(case)), timeout=DEADLINE_S)
        except grpc.RpcError as error:
            name, details = error.code().name, error.details() or ""
            if name == "DEADLINE_EXCEEDED" or (name == "UNAVAILABLE" and ": " not in details):
                return 0, f"{name} {details}"
            return STATUS.get(name, 500), details
        return 200, _result(rpc.outputs(answered))

    def _post(self, case: Case) -> tuple[int, str]:
        call = _call(case)
        data, headers = rest.body(call) if case.way == "http" else (_json(case, call), {})
        connection = http.client.HTTPConnection(self._http, timeout=DEADLINE_S)
        try:
            connection.request("POST", f"/v2/models/{case.model}/infer", data, headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != 200:
            return response.status, _reason(answer)
        if case.way == "json":
            found = {one["name"]: one["data"] for one in json.loads(answer)["outputs"]}
            return 200, str(found["RESULT"][0])
        return 200, _result(rest.outputs(answer, response.getheader(rest.HEADER_LENGTH)))


def _call(case: Case) -> Call[Tensors]:
    names = {"OPERATION": case.text} if case.model == "visual_ops" else {"QUESTION": case.text, "OPTIONS": case.options}
    inputs = {"IMAGE": text(*case.images)[None]} | {name: text(value)[None] for name, value in names.items()}
    return Call(case.model, inputs, DEADLINE_S, lambda found: found)


def _json(case: Case, call: Call[Tensors]) -> bytes:
    """The same as JSON, pictures as URLs."""
    inputs = []
    for name, array in call.inputs.items():
        values: list[bytes] = list(np.ravel(array))
        data = [_url(value) if name == "IMAGE" else value.decode("utf-8", "replace") for value in values]
        inputs.append({"name": name, "datatype": "BYTES", "shape": list(array.shape), "data": data})
    return json.dumps({"inputs": inputs}).encode()


def _url(image: bytes) -> str:
    if image[:5].lower() == b"data:" or image[:4] in (b"http", b"file"):
        return image.decode("latin-1")
    return "data:image/png;base64," + base64.b64encode(image).decode()


def _result(found: Tensors) -> str:
    result: Any = found["RESULT"].reshape(-1)[0]
    return str(result.decode())


def _reason(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return f"no reason: {answer[:200]!r}"
