"""Transport over Triton's HTTP: binary tensors, and server-sent events for streams."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any, NoReturn

import aiohttp

from clients import faults
from clients.tensors import Tensors, datatype, pack, text, unpack
from clients.wire import Call, generate_body
from pixelis.errors import LimitExceeded, ServingError
from pixelis.json_text import loads

HEADER_LENGTH = "Inference-Header-Content-Length"
PROBE_S = 5.0
MAX_EVENT_BYTES = 2**24
MAX_JSON_BYTES = 4 * 2**20 - 1
"""Triton 2.51 can die of a larger JSON body; binary tensors have no such bound."""


def body(call: Call[Any]) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an inference request with binary tensors both ways."""
    raws = {name: pack(array) for name, array in call.inputs.items()}
    inputs = [
        {
            "name": name,
            "datatype": datatype(array),
            "shape": list(array.shape),
            "parameters": {"binary_data_size": len(raws[name])},
        }
        for name, array in call.inputs.items()
    ]
    head: dict[str, Any] = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    if call.request_id:
        head["id"] = call.request_id
    header = json.dumps(head).encode()
    headers = {HEADER_LENGTH: str(len(header)), "Content-Type": "application/octet-stream"}
    return b"".join([header, *raws.values()]), headers


def outputs(data: bytes, header_length: str | None) -> Tensors:
    """The tensors of an inference response. Raises `ServingError` where it is none."""
    try:
        length = len(data) if header_length is None else int(header_length)
        found, at = {}, length
        for tensor in loads(data[:length])["outputs"]:
            size = tensor["parameters"]["binary_data_size"]
            if not 0 <= at <= at + size <= len(data):
                raise ValueError("it is shorter than it says")
            found[str(tensor["name"])] = unpack(data[at : at + size], str(tensor["datatype"]), tensor["shape"])
            at += size
    except (ValueError, KeyError, TypeError) as error:
        raise faults.garbled(error) from None
    return found


def refuse(status: int, data: bytes) -> NoReturn:
    """Raise what a status other than 200 means."""
    try:
        message = str(loads(data.removeprefix(b"data:"))["error"])
    except (ValueError, KeyError, TypeError):
        raise ServingError(f"The server answered with HTTP {status} and no reason.") from None
    raise faults.from_server(message)


def generate(call: Call[Any]) -> bytes:
    """The JSON body of a streamed request, within what the server survives."""
    data = generate_body(call)
    if len(data) > MAX_JSON_BYTES:
        raise LimitExceeded(
            f"As JSON the request has {len(data)} bytes; streams over HTTP take {MAX_JSON_BYTES}.",
            mend="Stream over gRPC, or ask without streaming.",
        )
    return data


def event(line: bytes) -> Tensors | None:
    """One line of a server-sent stream; nothing where it carries none. Raises `ServingError` where it says an error."""
    if not line.startswith(b"data:"):
        return None
    try:
        values = loads(line[5:])
        if not isinstance(values, dict):
            raise ValueError("it is no object")
        found = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
        tensors = {name: text(*map(str, value)) for name, value in found.items()}
    except ValueError as error:
        raise faults.garbled(error) from None
    if "error" in values:
        raise faults.from_server(str(values["error"]))
    return tensors


class HttpTransport:
    """Synchronous; may be shared between threads, because each request has a connection of its own.

    Args:
        url: `host:port`.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def infer(self, call: Call[Any]) -> Tensors:
        """One answer."""
        data, headers = body(call)
        path = f"/v2/models/{call.model}/infer"
        status, answer, header_length = get(self._url, "POST", path, data, headers, call.timeout_s)
        if status != 200:
            refuse(status, answer)
        return outputs(answer, header_length)

    def stream(self, call: Call[Any]) -> Generator[Tensors, None, None]:
        """Answers as they come; closing the iterator drops the connection, which cancels the request."""
        data, deadline = generate(call), time.monotonic() + call.timeout_s
        connection = http.client.HTTPConnection(self._url, timeout=call.timeout_s)
        try:
            connection.request("POST", f"/v2/models/{call.model}/generate_stream", data)
            response = connection.getresponse()
            if response.status != 200:
                refuse(response.status, response.read())
            for line in response:
                if time.monotonic() > deadline:
                    raise faults.late(self._url, call.timeout_s)
                if (tensors := event(line)) is not None:
                    yield tensors
        except (OSError, http.client.HTTPException) as error:
            _fail(error, self._url, call.timeout_s)
        finally:
            connection.close()

    def ready(self, model: str | None) -> bool:
        """Whether the server, or one model, takes requests."""
        path = "/v2/health/ready" if model is None else f"/v2/models/{model}/ready"
        try:
            return get(self._url, "GET", path, timeout_s=PROBE_S)[0] == 200
        except ServingError:
            return False

    def close(self) -> None:
        """Nothing is open between requests."""


def get(
    url: str,
    method: str,
    path: str,
    data: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = PROBE_S,
) -> tuple[int, bytes, str | None]:
    """One exchange: status, body, and how long its JSON header is."""
    connection = http.client.HTTPConnection(url, timeout=timeout_s)
    try:
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        return response.status, response.read(), response.getheader(HEADER_LENGTH)
    except (OSError, http.client.HTTPException) as error:
        _fail(error, url, timeout_s)
    finally:
        connection.close()


def _fail(error: Exception, url: str, timeout_s: float) -> NoReturn:
    if isinstance(error, (TimeoutError, socket.timeout, asyncio.TimeoutError)):
        raise faults.late(url, timeout_s) from None
    if isinstance(error, (http.client.BadStatusLine, aiohttp.ClientResponseError)) and not isinstance(
        error, http.client.RemoteDisconnected
    ):
        raise faults.foreign(url, "HTTP") from None
    raise faults.unreachable(url, str(error) or type(error).__name__) from None


class AioHttpTransport:
    """The same for asyncio, with a pool of connections.

    Args:
        url: `host:port`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def infer(self, call: Call[Any]) -> Tensors:
        """One answer."""
        data, headers = body(call)
        async with self._post(f"{call.model}/infer", data, call.timeout_s, headers) as response:
            answer = await response.read()
            if response.status != 200:
                refuse(response.status, answer)
            return outputs(answer, response.headers.get(HEADER_LENGTH))

    async def stream(self, call: Call[Any]) -> AsyncGenerator[Tensors, None]:
        """Answers as they come; closing the iterator drops the connection, which cancels the request."""
        async with self._post(f"{call.model}/generate_stream", generate(call), call.timeout_s) as response:
            if response.status != 200:
                refuse(response.status, await response.read())
            async for line in response.content:
                if (tensors := event(line)) is not None:
                    yield tensors

    async def ready(self, model: str | None) -> bool:
        """Whether the server, or one model, takes requests."""
        return await asyncio.to_thread(HttpTransport(self._url).ready, model)

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    def _post(self, path: str, data: bytes, timeout_s: float, headers: dict[str, str] | None = None) -> _Post:
        if self._session is None:  # made here, because a session belongs to the loop that runs
            self._session = aiohttp.ClientSession(read_bufsize=MAX_EVENT_BYTES)
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        address = f"http://{self._url}/v2/models/{path}"
        return _Post(self._session.post(address, data=data, headers=headers, timeout=timeout), self._url, timeout_s)


class _Post:
    """An exchange whose failures are ours, while it is opened and while it is read."""

    def __init__(self, request: Any, url: str, timeout_s: float) -> None:
        self._request, self._url, self._timeout_s = request, url, timeout_s

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            response: aiohttp.ClientResponse = await self._request.__aenter__()
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            _fail(error, self._url, self._timeout_s)
        return response

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        await self._request.__aexit__(kind, error, trace)
        if isinstance(error, (aiohttp.ClientError, asyncio.TimeoutError, OSError)):
            _fail(error, self._url, self._timeout_s)
